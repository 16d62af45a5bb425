/** An answer of the server that is not a success, with the stable `code` that the client switches on. */

export interface FieldProblem {
  field: string;
  code: string;
  message: string;
}

export interface Problem {
  status: number;
  code: string;
  detail: string;
  errors?: FieldProblem[];
  extra?: Record<string, unknown>;
}

export class ApiError extends Error {
  readonly status: number;
  readonly code: string;
  readonly fields: FieldProblem[];
  readonly extra: Record<string, unknown>;

  constructor(problem: Problem) {
    super(problem.detail);
    this.name = "ApiError";
    this.status = problem.status;
    this.code = problem.code;
    this.fields = problem.errors ?? [];
    this.extra = problem.extra ?? {};
  }

  /** Whether asking again later can help: the network, or a server that is busy or failing. */
  get isPassing(): boolean {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

export function offline(): ApiError {
  return new ApiError({ status: 0, code: "offline", detail: "The server cannot be reached." });
}

/** The error that a response carries; servers in between may answer with something that is not JSON. */
export async function errorOf(response: Response): Promise<ApiError> {
  const body: unknown = await response.json().catch(() => null);
  if (isProblem(body)) return new ApiError({ ...body, status: response.status });
  return new ApiError({ status: response.status, code: `http_${response.status}`, detail: response.statusText });
}

export function asApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  return new ApiError({ status: -1, code: "client_error", detail: error instanceof Error ? error.message : "" });
}

function isProblem(body: unknown): body is Problem {
  return typeof body === "object" && body !== null && "code" in body && typeof body.code === "string";
}

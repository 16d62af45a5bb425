/** A file sent with progress, which fetch cannot tell. */

import { csrfToken } from "@/api/client";
import { ApiError, offline, type Problem } from "@/api/errors";

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** POST `content` as JSON lines; `onProgress` hears 0 to 1. Rejects with ApiError. */
export function uploadLines<T>(url: string, content: Blob, onProgress: (share: number) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", url);
    request.setRequestHeader("Content-Type", "application/x-ndjson");
    request.setRequestHeader("X-CSRFToken", csrfToken());
    request.upload.onprogress = ({ loaded, total }) => onProgress(total > 0 ? loaded / total : 0);
    request.onerror = () => reject(offline());
    request.onload = () => {
      const body = parsed(request.responseText);
      if (request.status < 300) return resolve(body as T);
      const problem = body as Problem | null;
      reject(new ApiError(problem?.code ? { ...problem, status: request.status } : { status: request.status, code: `http_${request.status}`, detail: request.statusText }));
    };
    request.send(content);
  });
}

/** Short names for what the REST interface sends and takes; the shapes come from its schema. */

import type { components } from "@/api/schema.gen";

type Schemas = components["schemas"];

export type Me = Schemas["MeOut"];
export type Membership = Me["memberships"][number];
export type Role = Membership["role"];
export type Pool = Membership["pool"];
export type ApiToken = Schemas["TokenOut"];
export type Scope = ApiToken["scopes"][number];

export type Project = Schemas["ProjectOut"];
export type ProjectDetail = Schemas["ProjectDetailOut"];
export type Member = Schemas["MemberOut"];
export type ProjectEvent = Schemas["EventOut"];
export type BaseModel = Schemas["BaseModelOut"];

export type Message = Schemas["Message"];
export type Assignment = Schemas["Assignment"];
export type AssignmentSummary = Schemas["AssignmentSummary"];
export type Candidate = Schemas["AssignmentCandidate"];
export type TaskKind = Assignment["kind"];
export type AssignmentState = Assignment["state"];
export type ServerDraft = Schemas["AssignmentDraft"];
export type Answer = Schemas["Answer"];
export type SubmitBody = Schemas["SubmitInRequest"];
export type SubmitResult = Schemas["SubmitResult"];
export type NextTask = Schemas["NextAssignment"];
export type EmptyQueue = Schemas["Empty"];
export type SkipReason = Schemas["SkipInRequest"]["reason"];

export type Version = Schemas["VersionOut"];
export type VersionKind = Version["kind"];
export type Stage = Version["stage"];
export type Lineage = Schemas["LineageOut"];

export type Json = string | number | boolean | null | Json[] | JsonObject;
export type JsonObject = { [key: string]: Json };

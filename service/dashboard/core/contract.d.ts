/** What the API answers. Made from service/openapi.json by tools/dashboard_types.py. */

/** One lease of a worker on a trial. */
export type AttemptSummary = {
  n: number;
  state: string;
  started: string;
  ended: string | null;
  message: string;
};

/** A request that changed something, or was refused. */
export type AuditEvent = {
  number: number;
  time: string;
  token: string | null;
  name: string;
  operation: string;
  target: string;
  status: number;
  request_id: string;
};

/** A retrained candidate that was taught nothing. */
export type BaselinePoint = {
  x: number | null;
  y: number | null;
  candidate: number;
};

/** Predictions of about one confidence. */
export type CalibrationBin = {
  count: number;
  /** Their mean confidence. */
  confidence: number;
  /** Share of right ones. */
  accuracy: number;
};

/** An architecture with its distillation settings. */
export type Candidate = {
  number: number;
  /** Number of the trial that tells most of it. */
  trial: number;
  state: string;
  feasible: boolean;
  on_front: boolean;
  epochs: number;
  figures: Record<string, number | null>;
  choices: Record<string, boolean | number | string>;
  distillation: Record<string, boolean | number | string>;
  /** Seed of the draw, in spaces of random graphs. */
  draw: number;
  trials: number[];
  final: FinalRow | null;
};

/** A candidate with its retrainings. */
export type CandidateDetail = {
  number: number;
  /** Number of the trial that tells most of it. */
  trial: number;
  state: string;
  feasible: boolean;
  on_front: boolean;
  epochs: number;
  figures: Record<string, number | null>;
  choices: Record<string, boolean | number | string>;
  distillation: Record<string, boolean | number | string>;
  /** Seed of the draw, in spaces of random graphs. */
  draw: number;
  trials: number[];
  final: FinalRow | null;
  /** Its trials of the final stage. */
  repeats: TrialSummary[];
};

/** Something that a study can be made of. */
export type CatalogueItem = {
  name: string;
  summary: string;
  /** JSON Schema of the part of the study file that names it. */
  schema: {
    [more: string]: any;
  };
  /** What names it there; `schema` says what else there may be. */
  spec: {
    [more: string]: any;
  };
};

/** What a study means, without training: what `autokd check` says. */
export type CheckResult = {
  study: string;
  teacher: Record<string, number | null>;
  smallest: Record<string, number | null>;
  median: Record<string, number | null>;
  largest: Record<string, number | null>;
  budget: Record<string, number | null>;
  feasible_share: number;
  samples: number;
  nearest: string | null;
  workers: number;
  teacher_seconds: number;
  estimated_seconds: number;
};

/** A new study like another one. */
export type Cloning = {
  name: string;
  /** By dotted path. */
  changes?: {
    [more: string]: any;
  };
  labels?: Record<string, any>;
  paused?: boolean;
};

/** All candidates as columns of equal length. */
export type Columns = {
  candidate: number[];
  trial: number[];
  state?: string[] | null;
  epochs?: number[] | null;
  feasible?: boolean[] | null;
  on_front?: boolean[] | null;
  figures?: Record<string, (number | null)[]>;
  choices?: Record<string, (boolean | number | string | null)[]>;
  distillation?: Record<string, (boolean | number | string | null)[]>;
};

/** Search trials by how they ended. */
export type Counts = {
  total: number;
  complete: number;
  /** Stopped at a lower rung. */
  pruned: number;
  /** Over budget: recorded, never trained. */
  infeasible: number;
  failed: number;
  unfinished: number;
};

/** A message to a webhook. */
export type Delivery = {
  id: number;
  /** Number of the event; null for a test. */
  event: number | null;
  state: "pending" | "delivered" | "failed";
  /** What came of the last attempt, in words. */
  status: string;
  attempts: number;
  /** HTTP status of the last answer. */
  response_status: number | null;
  created: string;
  /** When it is tried next, if it is pending. */
  due: string | null;
};

/** What flows from one node to another. */
export type Edge = {
  source: string;
  target: string;
};

/** A student as files. */
export type Export = {
  id: string;
  study: string;
  trial: number;
  created: string;
  files: ExportedFile[];
  /** What `student.json` holds. */
  student: {
    [more: string]: any;
  };
};

/** A file of an export. */
export type ExportedFile = {
  name: string;
  bytes: number;
  sha256: string;
  /** What the check says; null: no network is in it. */
  verified: string | null;
  /** Of the file's network, on the split that `student.scored_on` names. */
  accuracy?: number | null;
  /** Of a logit, from those of the student that was trained. */
  largest_difference?: number | null;
};

/** Larger limits. */
export type Extension = {
  limits: {
    [more: string]: any;
  };
};

/** One thing that is wrong in a request. */
export type FieldProblem = {
  /** Where, as a JSON pointer into the body, or a parameter. */
  pointer: string;
  /** What was expected, and what was got. */
  message: string;
  /** What to do. */
  hint?: string | null;
};

/** One retrained candidate: means over its seeds, and the baseline without the teacher. */
export type FinalRow = {
  trial: number;
  candidate: number;
  epochs: number;
  seeds: number;
  [more: string]: any;
};

/** The Pareto front over two figures, and what stands around it. */
export type Front = {
  x: Objective;
  y: Objective;
  front: Row[];
  teacher: Place;
  budget: Place;
  baseline: BaselinePoint[];
  hypervolume: number | null;
  reference: Record<string, number | null>;
};

/** A student as a graph, with what each node costs. */
export type Graph = {
  nodes: Layer[];
  edges: Edge[];
  totals: Record<string, number | null>;
  teacher: Record<string, number | null>;
};

/** One moment in the growth of a front. */
export type Growth = {
  trial: number;
  finished: number;
  seconds: number | null;
  hypervolume: number | null;
  best: number | null;
};

/** Something about a study that its owner should know. */
export type HealthNote = {
  level: "info" | "warning" | "error";
  code: string;
  message: string;
};

/** How the hypervolume and the best first objective grew. */
export type Hypervolume = {
  reference: Record<string, number | null>;
  points: Growth[];
};

/** How much each parameter matters for a metric. */
export type Importances = {
  metric: string;
  method: "ped_anova" | "fanova";
  trials: number;
  importances: Record<string, number | null>;
};

export type JsonValue = any;

/** A node of a student's graph. */
export type Layer = {
  id: string;
  label: string;
  operation: string;
  /** Ascends where images get smaller; the head is the last. */
  stage: number;
  channels: number | null;
  shape: number[];
  parameters: number;
  macs: number;
  bytes: number;
};

/** The figures of a trial's epochs. */
export type LearningCurves = {
  trial: number;
  /** For each metric its (epoch, value) pairs. */
  metrics: Record<string, ([number, number | null])[]>;
};

/** When the search ends; null: no such limit. */
export type Limits = {
  trials: number | null;
  epochs: number | null;
  seconds: number | null;
  failures: number | null;
  converged: number | null;
};

/** A part of an attempt's log. */
export type Log = {
  trial: number;
  attempt: number;
  /** Bytes of the whole log. */
  size: number;
  /** Of this part, in bytes. */
  offset: number;
  /** Of the next part. */
  next_offset: number;
  text: string;
  /** Whether nothing more will come. */
  ended: boolean;
};

/** What opens a session. */
export type Login = {
  token: string;
};

/** A token that was just made. */
export type MadeToken = {
  id: string;
  name: string;
  scope: "read" | "launch" | "admin";
  created: string;
  expires: string | null;
  last_used: string | null;
  limits: Record<string, number | null>;
  /** The secret, shown this once. */
  token: string;
};

/** A webhook that was just made. */
export type MadeWebhook = {
  id: string;
  url: string;
  kinds: ("study" | "trial" | "epoch" | "teacher_epoch" | "artifact")[];
  created: string;
  /** What messages are signed with, shown this once; see Standard Webhooks. */
  secret: string;
};

/** What this service is. */
export type Meta = {
  version: string;
  api: string;
  authentication: boolean;
};

/** A candidate of one's own. */
export type NewCandidate = {
  /** Of every parameter that exists in it. */
  choices: Record<string, boolean | number | string>;
  /** Of every searched setting. */
  distillation?: Record<string, boolean | number | string>;
  /** Seed of the draw. */
  draw?: number;
};

/** Which student, and in which formats. */
export type NewExport = {
  /** The best student, within the limits below if any. */
  best?: boolean;
  /** In place of `best`: the student of this trial. */
  trial?: number | null;
  max_parameters?: string | number | null;
  /** Peak activation. */
  max_memory?: string | number | null;
  max_macs?: string | number | null;
  /** Weight bytes. */
  max_weight?: string | number | null;
  /** safetensors is always among them. */
  formats?: ("onnx" | "safetensors" | "pt2")[];
};

/** A token to be made. */
export type NewToken = {
  name: string;
  scope: "read" | "launch" | "admin";
  /** Null: never. */
  expires_in_days?: number | null;
  limits?: TokenLimits;
};

/** A file that will come. */
export type NewUpload = {
  /** `teacher`: weights as safetensors; `data`: a NumPy archive of images, `x_train`, `y_train`, `x_test` and `y_test`. */
  kind: "teacher" | "data";
  name: string;
};

/** An address that wants to be told of events. */
export type NewWebhook = {
  /** By https, and of a public host, unless the operator allows others. */
  url: string;
  /** Of events, as `/events` has them. */
  kinds?: ("study" | "trial" | "epoch" | "teacher_epoch" | "artifact")[];
};

/** One axis of the front. */
export type Objective = {
  metric: string;
  direction: "minimize" | "maximize";
};

/** Work that takes longer than a request. */
export type Operation = {
  id: string;
  kind: "export" | "purge" | "retry" | "cancel_trial" | "enqueue";
  study: string | null;
  state: "queued" | "running" | "succeeded" | "failed" | "cancelled";
  done: boolean;
  created: string;
  started: string | null;
  ended: string | null;
  request: {
    [more: string]: any;
  };
  response: {
    [more: string]: any;
  } | null;
  error: Problem | null;
};

export type Page_AuditEvent_ = {
  items: AuditEvent[];
  /** `page_token` of the next part. */
  next_page_token?: string | null;
  /** Items in the whole list. */
  total: number;
};

export type Page_Candidate_ = {
  items: Candidate[];
  /** `page_token` of the next part. */
  next_page_token?: string | null;
  /** Items in the whole list. */
  total: number;
};

export type Page_CatalogueItem_ = {
  items: CatalogueItem[];
  /** `page_token` of the next part. */
  next_page_token?: string | null;
  /** Items in the whole list. */
  total: number;
};

export type Page_Delivery_ = {
  items: Delivery[];
  /** `page_token` of the next part. */
  next_page_token?: string | null;
  /** Items in the whole list. */
  total: number;
};

export type Page_Export_ = {
  items: Export[];
  /** `page_token` of the next part. */
  next_page_token?: string | null;
  /** Items in the whole list. */
  total: number;
};

export type Page_Operation_ = {
  items: Operation[];
  /** `page_token` of the next part. */
  next_page_token?: string | null;
  /** Items in the whole list. */
  total: number;
};

export type Page_SpaceItem_ = {
  items: SpaceItem[];
  /** `page_token` of the next part. */
  next_page_token?: string | null;
  /** Items in the whole list. */
  total: number;
};

export type Page_Study_ = {
  items: Study[];
  /** `page_token` of the next part. */
  next_page_token?: string | null;
  /** Items in the whole list. */
  total: number;
};

export type Page_Token_ = {
  items: Token[];
  /** `page_token` of the next part. */
  next_page_token?: string | null;
  /** Items in the whole list. */
  total: number;
};

export type Page_TrialSummary_ = {
  items: TrialSummary[];
  /** `page_token` of the next part. */
  next_page_token?: string | null;
  /** Items in the whole list. */
  total: number;
};

export type Page_Upload_ = {
  items: Upload[];
  /** `page_token` of the next part. */
  next_page_token?: string | null;
  /** Items in the whole list. */
  total: number;
};

export type Page_Webhook_ = {
  items: Webhook[];
  /** `page_token` of the next part. */
  next_page_token?: string | null;
  /** Items in the whole list. */
  total: number;
};

export type Page_Worker_ = {
  items: Worker[];
  /** `page_token` of the next part. */
  next_page_token?: string | null;
  /** Items in the whole list. */
  total: number;
};

/** A value on each axis; null where there is none. */
export type Place = {
  x: number | null;
  y: number | null;
};

/** Why a request was not done (RFC 9457). */
export type Problem = {
  /** Always about:blank; `code` tells kinds apart. */
  type?: string;
  /** The status in words. */
  title: string;
  /** HTTP status. */
  status: number;
  /** What was expected, and what was got. */
  detail: string;
  /** Path of the request. */
  instance?: string | null;
  /** A stable word for this kind of problem. */
  code: string;
  /** What to do. */
  hint?: string | null;
  /** All that is wrong in the request. */
  errors?: FieldProblem[] | null;
  /** Finds the request in the logs. */
  request_id?: string | null;
};

/** How well the rungs foretell each other. */
export type RankCorrelation = {
  metric: string;
  rungs: number[];
  pairs: RankPair[];
};

/** How well one rung foretells another. */
export type RankPair = {
  low: number;
  high: number;
  n: number;
  spearman: number | null;
  kendall: number | null;
};

/** One trial: its figures, and the choices that made it. */
export type Row = {
  trial: number;
  candidate: number;
  epochs: number;
  choices: Record<string, boolean | number | string>;
  distillation: Record<string, boolean | number | string>;
  [more: string]: any;
};

/** A study that has slots. */
export type RunningStudy = {
  study: string;
  name: string;
  slots: number;
  /** Numbers of the trials that run. */
  trials: number[];
};

/** A search space, with what varies in it if its options are left as they are. */
export type SpaceItem = {
  name: string;
  summary: string;
  /** JSON Schema of the part of the study file that names it. */
  schema: {
    [more: string]: any;
  };
  /** What names it there; `schema` says what else there may be. */
  spec: {
    [more: string]: any;
  };
  parameters: SpaceParameter[];
};

/** What varies in a search space. */
export type SpaceParameter = {
  name: string;
  range: string;
  /** When it is active; empty: always. */
  condition: string;
};

/** What the service takes on disk, in bytes. */
export type Storage = {
  free_bytes: number;
  bytes: Record<string, number>;
  /** Largest first. */
  studies: StudyBytes[];
};

/** A search and how far it got. */
export type Study = {
  id: string;
  name: string;
  state: "created" | "queued" | "running" | "pausing" | "paused" | "stopping" | "cancelling" | "cancelled" | "completed" | "stopped" | "failed" | "interrupted";
  /** Why the search ended, if it did. */
  stop_reason: string | null;
  /** Why it failed, if it did. */
  error: string | null;
  labels: Record<string, string>;
  created: string;
  updated: string;
  deleted: string | null;
  /** Wall time spent searching. */
  seconds: number;
  objectives: Objective[];
  /** What a student may cost, in absolute numbers. */
  budget: Record<string, number | null>;
  limits: Limits;
  /** The teacher's figures, once they are known. */
  teacher: Record<string, number | null>;
  trials: Counts;
  /** Share of the nearest limit. */
  progress: number;
  /** A guess, while it runs. */
  seconds_left: number | null;
  /** The front's best of the first objective. */
  best: Row | null;
  front_size: number;
  /** Over the trials so far, at most 32 values. */
  hypervolume: number[];
};

/** What a study takes on disk. */
export type StudyBytes = {
  study: string;
  name: string;
  bytes: number;
  deleted: boolean;
};

/** What may be changed of a study. */
export type StudyChanges = {
  name?: string | null;
  /** All labels; those left out are removed. */
  labels?: Record<string, any> | null;
  /** Those of the spec that change. */
  limits?: {
    [more: string]: any;
  } | null;
};

/** A study with its file and its results. */
export type StudyDetail = {
  id: string;
  name: string;
  state: "created" | "queued" | "running" | "pausing" | "paused" | "stopping" | "cancelling" | "cancelled" | "completed" | "stopped" | "failed" | "interrupted";
  /** Why the search ended, if it did. */
  stop_reason: string | null;
  /** Why it failed, if it did. */
  error: string | null;
  labels: Record<string, string>;
  created: string;
  updated: string;
  deleted: string | null;
  /** Wall time spent searching. */
  seconds: number;
  objectives: Objective[];
  /** What a student may cost, in absolute numbers. */
  budget: Record<string, number | null>;
  limits: Limits;
  /** The teacher's figures, once they are known. */
  teacher: Record<string, number | null>;
  trials: Counts;
  /** Share of the nearest limit. */
  progress: number;
  /** A guess, while it runs. */
  seconds_left: number | null;
  /** The front's best of the first objective. */
  best: Row | null;
  front_size: number;
  /** Over the trials so far, at most 32 values. */
  hypervolume: number[];
  /** The study file. */
  spec: {
    [more: string]: any;
  };
  front: Row[];
  final: FinalRow[];
  health: HealthNote[];
  /** The last one that has ended, as long as the teacher trains. */
  teacher_epoch: TeacherEpoch | null;
};

/** How many trials reached each rung. */
export type Survival = {
  rungs: SurvivalRung[];
};

/** How many trials reached a rung. */
export type SurvivalRung = {
  epochs: number;
  reached: number;
};

/** A finished epoch of the teacher's training. */
export type TeacherEpoch = {
  epoch: number;
  metrics: Record<string, number | null>;
};

/** When which trial ran where. */
export type Timeline = {
  attempts: TimelineAttempt[];
};

/** One lease of a worker on a trial. */
export type TimelineAttempt = {
  trial: number;
  kind: string;
  n: number;
  state: string;
  started: string;
  ended: string | null;
  slot: number;
};

/** Who may ask for what; the secret itself is not kept. */
export type Token = {
  id: string;
  name: string;
  scope: "read" | "launch" | "admin";
  created: string;
  expires: string | null;
  last_used: string | null;
  limits: Record<string, number | null>;
};

/** What the holder of a token may have at a time; null: no limit. */
export type TokenLimits = {
  /** Studies under way. */
  studies?: number | null;
  /** Workers of one study. */
  slots?: number | null;
  /** Bytes of uploads. */
  disk_bytes?: number | null;
};

/** A trial with its attempts, and how well calibrated its student is. */
export type TrialDetail = {
  number: number;
  kind: string;
  candidate: number;
  state: string;
  repeat: number;
  /** Where the current rung ends. */
  epochs: number;
  epochs_done: number;
  figures: Record<string, number | null>;
  evaluations: TrialEvaluation[];
  failure: TrialFailure | null;
  choices: Record<string, boolean | number | string>;
  distillation: Record<string, boolean | number | string>;
  notes: {
    [more: string]: any;
  };
  attempts: AttemptSummary[];
  /** At the end of the highest finished rung, by split: `validation`, and `test` in the final stage; empty where it was not kept. */
  calibration: Record<string, CalibrationBin[]>;
};

/** Figures at the end of a rung. */
export type TrialEvaluation = {
  epochs: number;
  metrics: Record<string, number | null>;
};

/** Why a trial failed. */
export type TrialFailure = {
  class: string;
  message: string;
};

/** What a trial is for. */
export type TrialKind = "search" | "final" | "baseline" | "family";

/** Where a trial stands; the module's drawing shows the moves. */
export type TrialState = "infeasible" | "queued" | "running" | "paused" | "complete" | "failed";

/** One evaluation of a candidate. */
export type TrialSummary = {
  number: number;
  kind: string;
  candidate: number;
  state: string;
  repeat: number;
  /** Where the current rung ends. */
  epochs: number;
  epochs_done: number;
  figures: Record<string, number | null>;
  evaluations: TrialEvaluation[];
  failure: TrialFailure | null;
  choices: Record<string, boolean | number | string>;
  distillation: Record<string, boolean | number | string>;
  notes: {
    [more: string]: any;
  };
};

/** A file that was sent, or will be. */
export type Upload = {
  id: string;
  kind: "teacher" | "data";
  name: string;
  /** Of use to a study when it is `ready`. */
  state: "waiting" | "ready" | "refused";
  bytes: number;
  sha256: string | null;
  /** What is in it: `tensors`, `parameters` and `dtypes` of weights; `train`, `test`, `shape` and `unpacked_bytes` of images. */
  summary: {
    [more: string]: any;
  } | null;
  /** Why it was refused. */
  error: string | null;
  created: string;
};

/** An address that is told of events. */
export type Webhook = {
  id: string;
  url: string;
  kinds: ("study" | "trial" | "epoch" | "teacher_epoch" | "artifact")[];
  created: string;
};

/** The caller. */
export type WhoAmI = {
  name: string;
  scope: "read" | "launch" | "admin";
  limits: Record<string, number | null>;
  /** Whether this service asks for tokens. */
  authentication: boolean;
};

/** A coordinator with its slots. */
export type Worker = {
  id: string;
  host: string;
  pid: number;
  started: string;
  heartbeat: string;
  alive: boolean;
  slots: number;
  running: RunningStudy[];
};

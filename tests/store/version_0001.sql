-- What a database of version 0001 may hold, in SQL that all databases understand.

INSERT INTO study (name, spec, state, stop_reason, created, seconds, teacher) VALUES
  ('begun', '{"seed": 1}', 'running', NULL, '2026-01-02 03:04:05.000000', 1.5,
    '{"accuracy": 0.5}'),
  ('fresh', '{}', 'created', NULL, '2026-02-01 00:00:00.000000', 0, NULL);

INSERT INTO candidate (study_id, number, hash, architecture, distillation) VALUES
  (1, 0, 'ab', '{"space": "chain", "choices": {"width": 16}, "seed": 3}', '{}');

INSERT INTO trial (study_id, candidate_id, number, kind, cost, repeat, state, epochs, trained,
    evaluations, failure_class, failure_message, checkpoint, notes) VALUES
  (1, 1, 0, 'search',
    '{"parameters": 1, "weight_bytes": 4, "peak_activation_bytes": 4, "macs": 9}', 0, 'running',
    2, 1, '[]', NULL, NULL, 'trials/0/attempt-1/checkpoint.pt', '{}');

INSERT INTO attempt (trial_id, n, token, state, lease_until, started, ended, message) VALUES
  (1, 1, 'cd', 'running', '2026-01-02 03:05:05.000000', '2026-01-02 03:04:05.000000', NULL, '');

INSERT INTO metric (trial_id, epoch, name, value) VALUES (1, 1, 'loss', 0.25);

INSERT INTO artifact (study_id, trial_id, kind, path, sha256, size_bytes, created, notes) VALUES
  (1, 1, 'export', 'a', 'ef', 1099511627776, '2026-01-02 03:04:05.000000', '{}');

INSERT INTO event (study_id, number, time, kind, data) VALUES
  (1, 1, '2026-01-02 03:04:05.000000', 'study', '{"state": "created"}'),
  (1, 2, '2026-01-02 03:04:06.500000', 'trial', '{"state": "queued"}');

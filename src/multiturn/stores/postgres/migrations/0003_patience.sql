-- A session that has just replaced one that was lost, as after the server's restart, takes nobody for gone yet: others
-- have lost theirs too, and with it the lock that shows that they live, and are about to take it again.
CREATE OR REPLACE FUNCTION is_gone(_runner bigint) RETURNS boolean LANGUAGE sql AS $$
  SELECT CASE
    WHEN clock_timestamp() < to_timestamp(nullif(current_setting('multiturn.patient_until', true), '')::double precision)
      THEN false
    ELSE pg_try_advisory_xact_lock_shared(_runner)
  END
$$;

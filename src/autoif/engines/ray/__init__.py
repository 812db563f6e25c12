"""Shards on a Ray cluster (`ray` extra), on one machine or on nodes that share no disk.

    command ── shards ──► crew, a process beside it ── shards ──► workers, one a core, wherever the cluster has one
      ▲ results                                                     │ answers, and what is to be looked up
      └─ run folder ◄───── writer beside the command ◄──────────────┘ the one process that writes the completions

Ray ends the process that speaks to it when its head is gone for a minute, so the command has another one do that: the
crew. When that is lost, with its workers and whatever was in flight, the command waits for the head and starts anew.
"""

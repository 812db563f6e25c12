"""Shards on a Ray cluster (`ray` extra), on one machine or on nodes that share no disk.

    command ── shards ──► crew, a process beside it ── shards ──► workers, one a core, wherever the cluster has one
      ▲ results                                                     │ answers, and what is to be looked up
      └─ run folder ◄───── writer beside the command ◄──────────────┘ the one process that writes the completions

Ray ends a process that is connected to it when the head has been gone for a minute. So the command doesn't connect
itself, but starts another process for that: the crew. When the crew is lost, with its workers and all shards in flight,
the command waits for the head to come back and starts a new crew.
"""

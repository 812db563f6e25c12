"""OpenVINO's pipeline for `openvino_process`: one thread generates, step by step, for all requests together."""

import asyncio
import os
import queue
import sys
import threading
import traceback
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

# OpenVINO's package would import this one and report its use to its makers. Without it, it reports nothing.
sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
import openvino_genai as ov  # noqa: E402

__all__ = ["CACHE_GB", "FAILURES", "Ignored", "Pipeline", "ov"]

CACHE_GB = 1
"""Size of the KV cache: some 70,000 tokens of a model of 1.5B. Prefixes of earlier prompts stay in it while there is
room."""
FAILURES = (RuntimeError, ValueError, TypeError, IndexError, OverflowError, MemoryError)
"""The Python exceptions that OpenVINO's become."""


class Ignored(Exception):
    """OpenVINO dropped a request: it has more samples than OpenVINO generates together, or than fit into the cache."""


@dataclass
class Job:
    """A prompt on its way through the pipeline."""

    tokens: Any
    """The prompt's tokens, as a tensor of shape (1, length)."""
    config: ov.GenerationConfig
    done: Future[list[Any]] = field(default_factory=Future)
    """The samples, when they are finished. OpenVINO's package doesn't name their type."""
    handle: Any = None

    def end(self, result: list[Any] | Exception) -> None:
        with suppress(InvalidStateError):  # cancelled, as the client is gone
            if isinstance(result, Exception):
                self.done.set_exception(result)
            else:
                self.done.set_result(result)


class Pipeline(threading.Thread):
    """OpenVINO's pipeline in a thread that lives as long as the process."""

    def __init__(self, path: str, threads: int) -> None:
        """Load the model; raise RuntimeError if that fails."""
        super().__init__(daemon=True)
        self._path, self._threads = path, threads
        self._jobs = queue.SimpleQueue[Job]()
        self._suspects = list[Job]()
        """Jobs that were in a failed step. From then on each runs alone, so that it can only fail by itself."""
        self._count = 0
        self._pipeline = self._load()
        self.tokenizer = self._pipeline.get_tokenizer()

    async def generate(self, tokens: Any, config: ov.GenerationConfig) -> list[Any]:
        """Return the samples of a prompt.

        Raises:
            RuntimeError: OpenVINO fails at them.
            Ignored: they are too many for OpenVINO.
        """
        job = Job(tokens, config)
        self._jobs.put(job)
        return await asyncio.wrap_future(job.done)

    def run(self) -> None:
        try:
            self._work()
        finally:
            traceback.print_exc()  # the user is shown its last line
            os._exit(1)  # nobody would be answered any more

    def _load(self) -> ov.ContinuousBatchingPipeline:
        scheduler = ov.SchedulerConfig()
        scheduler.cache_size = CACHE_GB
        scheduler.enable_prefix_caching = True
        return ov.ContinuousBatchingPipeline(self._path, scheduler, "CPU", {"INFERENCE_NUM_THREADS": self._threads})

    def _work(self) -> None:
        running = list[Job]()
        while True:
            running += self._take(not running)
            try:
                self._pipeline.step()
            except FAILURES as error:
                self._recover(running, error)
                running = []
            for job in running:
                if job.done.cancelled():
                    job.handle.cancel()
                elif (status := job.handle.get_status()) != ov.GenerationStatus.RUNNING:
                    job.end(Ignored() if status == ov.GenerationStatus.IGNORED else job.handle.read_all())
            running = [job for job in running if not job.done.done()]

    def _take(self, is_idle: bool) -> list[Job]:
        """Start and return the jobs that may join those that run. If the pipeline is idle, wait for one."""
        if self._suspects:
            return [job for job in [self._suspects.pop(0)] if self._add(job)] if is_idle else []
        taken = list[Job]()
        while (is_idle and not taken) or not self._jobs.empty():
            if self._add(job := self._jobs.get()):
                taken.append(job)
        return taken

    def _add(self, job: Job) -> bool:
        """Start a job; tell whether it runs now."""
        self._count += 1
        if not job.done.cancelled():
            try:
                job.handle = self._pipeline.add_request(self._count, job.tokens, job.config)
            except FAILURES as error:
                job.end(error)
        return not job.done.done()

    def _recover(self, running: list[Job], error: Exception) -> None:
        """Reload the pipeline after a failed step, as it would fail at the same request in every later step."""
        if len(running) == 1:
            running[0].end(error)
        else:
            self._suspects += running
        for job in running:
            job.handle = None
        del self._pipeline  # frees its memory before the new one takes as much
        self._pipeline = self._load()

"""What happens in the middle of a training: an interruption, or whatever a test does there."""

from transformers import TrainerCallback


class At(TrainerCallback):
    """Does something at the beginning of a step, or once a checkpoint was written."""

    def __init__(self, step: int, act, *, saved: bool = False) -> None:
        self.step, self.act, self.saved = step, act, saved

    def on_step_begin(self, args, state, control, **_):
        if not self.saved and state.global_step == self.step:
            self.act()

    def on_save(self, args, state, control, **_):
        if self.saved and state.global_step == self.step:
            self.act()


def interrupt():
    raise KeyboardInterrupt

"""What is killed: small jobs on scikit-learn's digits, and which of their files may be seen half done."""

import fnmatch
from dataclasses import dataclass


@dataclass(frozen=True)
class Job:
    """A command as it is typed, the first time and (``again``) after it was killed.

    growing: further patterns of files that may be seen in a state before their last
    """

    command: str
    line: str
    again: str = ""
    growing: tuple = ()

    def command_line(self, killed):
        return f"{self.line} {self.again}" if killed else self.line


_TRAINED = "--epoch 3 --arch mlp --width 32"
JOBS = {
    "train": Job("train", f"--dataset digits {_TRAINED}"),
    "train-resumed": Job("train", f"--dataset digits --recipe digits {_TRAINED} --validation 0.2", "--resume",
                         ("*best.ckpt",)),  # of the epoch that is the best so far
    "select": Job("select", f"--dataset digitsN --rate 0.2 {_TRAINED} --score cal --rule strata --mis-ratio 0.1"),
    "select-runs": Job("select", f"--dataset digitsC --rate 0.2 {_TRAINED} --method grand --runs 2"),
    "corrupt": Job("corrupt", "--dataset digits --preview seen.png"),
    "attack": Job("attack", f"--dataset digits --attack pgd --steps 3 --attack-batch 64 {_TRAINED}"),
    "label-noise": Job("label-noise", "--dataset digits"),
    "label-noise-forced": Job("label-noise", "--dataset digits --seed 1 --force"),
    "experiment": Job("experiment", "--dataset digitsN --methods random moderate forgetting full --rates 0.1 --seeds 0 "
                      f"{_TRAINED}"),
}
# Written in place, and guarded by a note of how far they are, or by a later file: only their end is compared.
_GROWING = ("*last.ckpt", "*/dynamics/*", "*/streamed/*", "*cache/*", "*runs.jsonl", "*costs.json", "*/running/*")


def grows(job, path):
    """Whether the file, by its place in the job's folder, may rightly be seen before it is finished."""
    return any(fnmatch.fnmatch(path, pattern) for pattern in (*_GROWING, *job.growing))

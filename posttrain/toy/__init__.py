"""The toy world: procedural tasks with exact answers, and small checkpoints made on this machine, for the demo and the
tests.

Everything here but `make.py` and `tokenizer.py` is standard library only, so that `plan` may list the tasks.
"""

from posttrain.toy.gym import gym_conversations, gym_prompts
from posttrain.toy.tasks import TASKS, conversations, pairs, prompts

__all__ = ["TASKS", "conversations", "gym_conversations", "gym_prompts", "pairs", "prompts"]

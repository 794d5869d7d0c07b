"""Options of what is minimised, and how."""

from typing import Annotated, Literal

from pydantic import Field

from .group import Count, Fraction, Group, Positive, Weight


class LossSettings(Group):
    """The terms of the loss, each with its weight; 0 leaves it out."""

    identity: Weight = 1.0
    """Weight of the identity loss, on the classifier's scores."""
    identity_kind: Literal["softmax", "circle", "cosface", "arcface"] = "softmax"
    """`softmax` is the cross-entropy; the others put a margin on cosines first."""
    identity_scale: Annotated[float, Field(gt=0)] = 64.0
    """s, what cosines are multiplied by."""
    identity_margin: Fraction = 0.35
    """m, of the three kinds with a margin (ArcFace: radians)."""
    label_smoothing: Fraction = 0.1
    """Share ε of the target that is spread over identities."""
    smoothing_over: Literal["all", "others"] = "all"
    """`all`: ε/K for each, the true one included; `others`: ε/(K−1) for each other one."""
    triplet: Weight = 1.0
    """Weight of the triplet loss."""
    triplet_kind: Literal["hard", "soft", "weighted"] = "hard"
    """`hard`: hinge with `margin`; `soft`: softplus of the hardest; `weighted`: softplus of all,
    weighted by softmax of their distances (AGW)."""
    margin: Weight = 0.3
    """By which the farthest positive should be nearer than the nearest negative (`hard`)."""
    metric_feature: Literal["before_neck", "after_neck"] = "before_neck"
    """The feature of the triplet loss and of all other terms but the identity loss."""
    center: Weight = 0.0
    """Weight of the center loss."""
    center_rate: Annotated[float, Field(gt=0)] = 0.5
    """Learning rate of the centers (plain SGD, whatever the weight of the term)."""
    circle: Weight = 0.0
    """Weight of the pairwise circle loss."""
    multi_similarity: Weight = 0.0
    """Weight of the multi-similarity loss."""
    supervised_contrastive: Weight = 0.0
    """Weight of the supervised contrastive loss."""


class OptimizerSettings(Group):
    """Which optimizer, and what each group of parameters gets."""

    name: Literal["adam", "amsgrad", "adamw", "sgd"] = "adam"
    """Weight decay is the classic L2 term, but for `adamw`, which takes it off the weights."""
    learning_rate: Annotated[float, Field(gt=0)] = 3.5e-4
    """At its peak, after the warm-up."""
    weight_decay: Weight = 5e-4
    """Factor of the L2 term."""
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """Of `sgd`."""
    bias_factor: Annotated[float, Field(gt=0)] = 1.0
    """What the learning rate of biases is multiplied by."""
    layer_decay: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Learning rate of a stage over that of the next one; attention and head have the full one."""
    accumulate: Positive = 1
    """Batches whose gradients are averaged for one step."""
    clip: Weight = 0.0
    """Largest norm of the whole gradient; 0: not clipped."""
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Decay of the average of weights that is evaluated and saved as the result; 0: none."""


class ScheduleSettings(Group):
    """Learning rate: a linear warm-up, then steps or a cosine."""

    name: Literal["step", "cosine"] = "step"
    """What follows the warm-up."""
    per: Literal["step", "epoch"] = "step"
    """Whether the rate moves with every step or stands still within an epoch."""
    warmup_epochs: Count = 10
    """Epochs until the rate is at its peak."""
    warmup_steps: Count = 0
    """The same, counted in steps of the optimizer and moving with each, whatever `per` says;
    takes the place of `warmup_epochs`."""
    warmup_factor: Fraction = 0.01
    """Where the warm-up begins, as a share of the learning rate."""
    milestones: tuple[Positive, ...] = (40, 70)
    """Epochs after which `step` lowers the rate."""
    gamma: Fraction = 0.1
    """The factor it is lowered by."""
    flat_epochs: Count = 0
    """Epoch at which `cosine` begins to fall; before, the rate is at its peak."""
    final_factor: Fraction = 0.002
    """Where the cosine ends, as a share of the learning rate."""
    freeze_steps: Count = 0
    """First steps in which the backbone's own layers stand still and the rest learns."""


class TrainingSettings(Group):
    """The loop itself."""

    epochs: Positive = 120
    """How many in all."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "fp32"
    """`auto`: bf16 where the hardware multiplies it, else fp32."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """`auto`: the first GPU where there is one."""
    channels_last: bool = True
    """Memory layout (N, H, W, C), which convolutions are faster in."""
    compile: bool = False
    """Let torch compile the network: minutes at the start, faster steps on a GPU."""
    sync_batch_norm: bool = False
    """With several processes: batch statistics of all their pictures together."""
    evaluate_every: Count = 10
    """Epochs between evaluations; 0: at the end only."""
    save_every: Positive = 1
    """Epochs between checkpoints."""
    tensorboard: bool = False
    """Show the log in TensorBoard as well (needs the extra `tensorboard`)."""

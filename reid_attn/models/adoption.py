"""Weights of other code bases into a network of ours, with an account of every tensor."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor

from ..attention import Block
from .fit import load_weights
from .network import CLASSIFIERS, Network
from .renaming import CLASSIFIER, Style, style_of

_PRETRAINED_HEAD = re.compile(r"backbone\.(body\.)?(fc|head|head_dist|classifier|last_linear)\.")
_TRUNK = ("backbone.", "embedding.")


@dataclass(frozen=True)
class Report:
    """What became of each tensor of a file, and of each of the network."""

    origin: str
    style: str
    """Whose names the file has."""
    loaded: Mapping[str, str]
    """Name in the file -> in the network; several may make up one."""
    left_out: Mapping[str, str]
    """Name in the file -> why."""
    kept: tuple[str, ...]
    """Names in the network that the file does not have: they keep the start they had."""
    note: str = ""
    """What the names cannot tell and a reader should look at; often empty."""

    def summary(self) -> str:
        """One line for people, with the note in a second one."""
        line = (
            f"{self.origin}, named as by {self.style}: {len(self.loaded)} tensors loaded, "
            f"{len(self.left_out)} left out, {len(self.kept)} of the network not in it"
        )
        return f"{line}\n{self.note}" if self.note else line

    def as_dict(self) -> dict[str, Any]:
        """For a JSON file, names in order."""
        ordered = {"loaded": dict(sorted(self.loaded.items()))}
        return asdict(self) | ordered | {"left_out": dict(sorted(self.left_out.items()))}


def adopt(network: Network, found: Mapping[str, Tensor], origin: str, whole: bool = True) -> Report:
    """Load the tensors `found` by the names of the code base that wrote them.

    Args:
        network: of the same shape; nothing is loaded unless all that is needed is there.
        found: a state dict, without the `module.` of DataParallel.
        origin: the file, for errors.
        whole: everything but the classifier is needed. Otherwise the backbone alone is, without
            its attention blocks, and nothing else is loaded.

    Raises:
        MismatchError: a tensor is missing, unknown, or of another shape.
        DataError: a value is not finite.
    """
    own, style = network.state_dict(), style_of(found)
    targets = {name: _target(network, own, style.translate(name)) for name in found}
    left_out = {
        name: why
        for name, target in targets.items()
        if (why := style.why_not(name) or _why_not(network, own, targets, target, whole))
    }
    loaded = {name: target for name, target in targets.items() if name not in left_out}
    state = {target: found[name] for name, target in loaded.items()}
    for beginning, ours, block in _published_blocks(network):
        _convert_block(block, beginning, ours, loaded, state)
    state = {key: _shaped(tensor, own.get(key)) for key, tensor in state.items()}
    load_weights(network, state, origin, may_lack=_optional(network, own, whole))
    kept = tuple(sorted(own.keys() - state.keys()))
    return Report(origin, style.name, loaded, left_out, kept, _note(network, style))


def identities_of(found: Mapping[str, Tensor]) -> int:
    """How many persons the file's classifier tells apart; 1 without one."""
    style = style_of(found)
    return next((len(t) for name, t in found.items() if style.translate(name) == CLASSIFIER), 1)


def _target(network: Network, own: Mapping[str, Tensor], name: str) -> str:
    """The name in this network: another library's network lies one level deeper."""
    embedding = name.replace("backbone.fc.", "embedding.")
    if embedding in own:
        return embedding
    start = f"backbone.{network.backbone.prefix}"
    return name if name.startswith(start) else name.replace("backbone.", start, 1)


def _why_not(
    network: Network,
    own: Mapping[str, Tensor],
    targets: Mapping[str, str],
    target: str,
    whole: bool,
) -> str:
    if target not in own and _PRETRAINED_HEAD.match(target):
        return "a classifier of other classes"
    if not whole and not target.startswith(_TRUNK):
        return "not of the backbone"
    if target.startswith(tuple(f"backbone.{start}" for start in network.backbone.replaced())):
        return "an attention block stands here"
    if target.startswith("classifier.") and "classifier.bias" in targets.values() - own.keys():
        return "of a classifier with a bias, which ours do not have"
    return ""


def _optional(network: Network, own: Mapping[str, Tensor], whole: bool) -> set[str]:
    """What the file need not have."""
    if whole:
        return {key for key in own if CLASSIFIERS.match(key)}
    needed = {f"backbone.{key}" for key in network.backbone.own_keys()}
    return {key for key in own if key not in needed and not key.startswith("embedding.")}


def _published_blocks(network: Network) -> Iterator[tuple[str, str, Block]]:
    """How the names of a block begin in RGA's, AGW's and fast-reid's networks, and here."""
    seen: Counter[str] = Counter()
    for name, block in network.named_modules():
        if not isinstance(block, Block):
            continue
        if stage := re.fullmatch(r"backbone\.stage_attention\.(\d)\.\d+", name):
            yield f"backbone.rga_att{int(stage[1]) + 1}.", f"{name}.", block
        elif layer := re.fullmatch(r"backbone\.layer(\d)\.\d+\.block_attention\.\d+", name):
            yield f"backbone.NL_{layer[1]}.{seen[layer[1]]}.", f"{name}.", block
            seen[layer[1]] += 1


def _convert_block(
    block: Block, beginning: str, ours: str, loaded: dict[str, str], state: dict[str, Tensor]
) -> None:
    """Put the block's tensors into `state` under our names, instead of the published ones."""
    theirs = {target: name for name, target in loaded.items() if target.startswith(beginning)}
    if not theirs:
        return
    taken = {target.removeprefix(beginning): state.pop(target) for target in theirs}
    state |= {ours + key: tensor for key, tensor in block.convert_official(taken).items()}
    for key, published in block.sources().items():
        for name in published:
            loaded[theirs[beginning + name]] = ours + key


def _shaped(tensor: Tensor, own: Tensor | None) -> Tensor:
    """GeM's exponent is a vector of one value elsewhere."""
    alone = own is not None and own.ndim == 0 and tensor.numel() == 1
    return tensor.reshape(()) if alone else tensor


def _note(network: Network, style: Style) -> str:
    if network.backbone.stem == style.stem:
        return ""
    return (
        f"networks of {style.name} have model.stem={style.stem}, this one has "
        f"{network.backbone.stem}: the names cannot tell, and the features differ"
    )

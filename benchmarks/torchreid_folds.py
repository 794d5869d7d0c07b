"""The folds of `benchmarks.folds`, trained by torchreid itself with its own recipes.

    .venv/bin/python -m benchmarks.torchreid_folds --data ../shared/data/campus \
        --table docs/results/campus.md --epochs 15 --bf16 \
        --weights ../shared/weights/resnet50_imagenet_stride_in_1x1.pth

Each model writes `torchreid-NAME-FOLD.json` into the table's folder, scored by the same evaluator
as ours; `benchmarks.folds … --beside torchreid-resnet50-in-15` shows them.
The recipes are those of torchreid's `configs/im_r50_softmax_256x128_amsgrad.yaml`,
`im_osnet_x0_25_softmax_256x128_amsgrad.yaml` and
`im_osnet_x1_0_softmax_256x128_amsgrad_cosine.yaml`, with the plain ResNet-50 for `resnet50_fc512`.
The ResNet-50 starts from `--weights`, with its strides moved to where these weights have them; no
ImageNet weights of OSNet are at hand, so it starts from nothing, which costs it much. `--epochs`
compresses a recipe, its frozen epochs and its steps with it, and its name then says so.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torchreid import reid

from reid_attn import storage
from reid_attn.data import Picture, load
from reid_attn.data.batches import evaluation_batches
from reid_attn.evaluation import evaluate
from reid_attn.models.fit import refuse_misfit
from reid_attn.models.weights import read_state_dict
from reid_attn.settings import DataSettings


class Recipe(NamedTuple):
    """What torchreid's configuration says; the rest is the same for both."""

    model: str
    rate: float
    epochs: int
    frozen: int
    """First epochs in which the classifier alone learns."""
    step: int
    """Epochs until `single_step` lowers the rate."""
    schedule: str
    batch: int

    def compressed(self, epochs: int) -> "Recipe":
        """The same in fewer epochs."""
        frozen, step = (round(n * epochs / self.epochs) for n in (self.frozen, self.step))
        return self._replace(epochs=epochs, frozen=frozen, step=max(1, step))


RECIPES = {
    "resnet50": Recipe("resnet50", 3e-4, 60, 5, 20, "single_step", 32),
    "osnet_x0_25": Recipe("osnet_x0_25", 3e-3, 180, 10, 80, "single_step", 128),
    "osnet_x1_0": Recipe("osnet_x1_0", 1.5e-3, 250, 10, 20, "cosine", 64),
}


class MixedEngine(reid.engine.ImageSoftmaxEngine):  # type: ignore[misc]
    """Its steps under autocast; what it evaluates stays float32, or it stumbles."""

    def forward_backward(self, data: dict[str, Any]) -> Any:
        """One step."""
        with torch.autocast(_device(), torch.bfloat16):
            return super().forward_backward(data)


def main() -> int:
    """Train what is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", default=list(RECIPES), choices=list(RECIPES))
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--table", type=Path, required=True)
    parser.add_argument("--epochs", type=int, help="fewer than its own recipe has")
    parser.add_argument("--bf16", action="store_true", help="torch's autocast around its steps")
    parser.add_argument("--only", action="append", metavar="FOLD", help="train this one; repeat")
    arguments = parser.parse_args()
    kept = arguments.table.with_suffix("")
    storage.make_folder(kept)
    for fold in sorted(path for path in arguments.data.iterdir() if path.is_dir()):
        if arguments.only is not None and fold.name not in arguments.only:
            continue
        for name in arguments.models:
            in_fewer = f"-in-{arguments.epochs}" if arguments.epochs else ""
            file = kept / f"torchreid-{name}{in_fewer}-{fold.name}.json"
            if not file.exists():
                storage.write_json(file, _numbers(name, fold, arguments))
    return 0


def _device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def _numbers(name: str, fold: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Train one model on one fold; its scores, as `benchmarks.folds` keeps them."""
    whole, bf16 = RECIPES[name], arguments.bf16
    recipe = whole.compressed(arguments.epochs or whole.epochs)
    in_fewer = f" in {recipe.epochs}" if arguments.epochs else ""
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002 - torchreid draws from it
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as place:
        Path(place, "market1501").symlink_to(fold.absolute())
        model = _train(recipe, Path(place), arguments.weights, bf16)
    minutes = (time.monotonic() - started) / 60
    dataset = load(f"market1501:{fold}")
    query, gallery = (_side(model, part) for part in (dataset.query, dataset.gallery))
    ranking = evaluate(*query, *gallery, metric="euclidean")
    first = np.array(ranking.first_hit, np.float64)
    return {
        "rank1": ranking.rank1,
        "mAP": ranking.mAP,
        "minutes": minutes,
        "made": f"by torchreid 0.2.5: {recipe.model} from {_origin(name)}, 256×128, "
        f"its {whole.epochs} epochs{in_fewer}, {'bf16' if bf16 else 'fp32'}, "
        f"{_device()} with {torch.get_num_threads()} threads",
        "persons": [picture.person for picture in dataset.query],
        "rank1_of_queries": np.where(np.isnan(first), np.nan, first == 0).tolist(),
        "AP_of_queries": ranking.average_precision.tolist(),
    }


def _origin(name: str) -> str:
    return "ImageNet weights" if name == "resnet50" else "random weights"


def _train(recipe: Recipe, root: Path, weights: Path, bf16: bool) -> torch.nn.Module:
    data = reid.data.ImageDataManager(
        root=str(root),
        sources="market1501",
        height=256,
        width=128,
        transforms=["random_flip"],
        batch_size_train=recipe.batch,
        workers=0,
        use_gpu=_device() == "cuda",
    )
    model = reid.models.build_model(recipe.model, data.num_train_pids, pretrained=False)
    if recipe.model == "resnet50":
        _start(model, weights)
    model = model.to(_device())
    optimizer = reid.optim.build_optimizer(model, optim="amsgrad", lr=recipe.rate)
    scheduler = reid.optim.build_lr_scheduler(
        optimizer, recipe.schedule, stepsize=recipe.step, max_epoch=recipe.epochs
    )
    engine = (MixedEngine if bf16 else reid.engine.ImageSoftmaxEngine)(
        data, model, optimizer, scheduler, use_gpu=_device() == "cuda", label_smooth=True
    )
    engine.run(
        save_dir=str(root / "log"),
        max_epoch=recipe.epochs,
        fixbase_epoch=recipe.frozen,
        open_layers=["classifier"],
        eval_freq=-1,
    )
    trained: torch.nn.Module = model.eval()
    return trained


def _start(model: Any, weights: Path) -> None:
    """ImageNet weights whose network has its strides in the first 1×1 of a stage."""
    found = read_state_dict(weights)
    own = {key: value for key, value in found.items() if not key.startswith("fc.")}
    own |= {key: value for key, value in model.state_dict().items() if key.startswith("classifier")}
    refuse_misfit(model.state_dict(), own, str(weights))
    model.load_state_dict(own)
    for stage in (model.layer2, model.layer3, model.layer4):
        stage[0].conv1.stride, stage[0].conv2.stride = stage[0].conv2.stride, (1, 1)


def _side(
    model: torch.nn.Module, pictures: tuple[Picture, ...]
) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]]:
    paths = [picture.path for picture in pictures]
    with torch.inference_mode():
        parts = [
            model(images.to(_device())).cpu().numpy()
            for images in evaluation_batches(paths, DataSettings(), 64)
        ]
    persons = np.array([picture.person for picture in pictures])
    return np.concatenate(parts), persons, np.array([picture.camera for picture in pictures])


if __name__ == "__main__":
    sys.exit(main())

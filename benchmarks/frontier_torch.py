"""Contenders of `frontier.py` in PyTorch: fastai's `fine_tune`, and PyTorch's tutorial on transfer learning.

fastai's tutorial (docs.fast.ai/tutorial.vision) makes photos 460 pixels large, cuts augmented views of the network's size
from them, and calls `vision_learner(…).fine_tune(epochs)`: at first an epoch of the head alone, then so many of everything.

The tutorial (docs.pytorch.org/tutorials/beginner/transfer_learning_tutorial) trains with SGD at 0.001 with momentum 0.9,
divided by ten every 7 epochs, batches of 4, for 25 epochs, everything or the last layer alone, and keeps the best epoch.

It runs in the Python that `--peer-python` names, without this toolkit and TensorFlow.
"""

from __future__ import annotations

import copy
import importlib
import pathlib
import sys
from collections.abc import Callable

import numpy as np
import torch
from frontier_weights import PROBE, TORCH, check_features
from frontier_worker import Clock, Images, Job, begin, tell
from torch import nn
from torch.utils.data import DataLoader, Dataset

PRESIZED = 460
RESIZED = 256 / 224  # of the network's size
POINTS_AFTER = (1, 2, 4, 7, 14, 25)  # epochs


def import_torchvision() -> torch.library.Library | None:
    """Imports torchvision, also one whose operators were compiled for GPUs, beside a torch for processors.

    That is what a package registry without PyTorch's own index has. Its import then asks for two operators that serve the
    detection of objects, and fails.

    Returns:
        What names the two, as long as it is kept; None where nothing was missing.
    """
    try:
        importlib.import_module("torchvision")
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
    else:
        return None
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[name]
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    importlib.import_module("torchvision")
    return library


def pretrained(job: Job, clock: Clock) -> nn.Module:
    """Returns torchvision's ResNet-50 made v1, with our weights, whose features were compared with ours."""
    from torchvision.models import resnet50

    network = resnet50(weights=None)
    for stage in (network.layer2, network.layer3, network.layer4):
        stage[0].conv1.stride, stage[0].conv2.stride = (2, 2), (1, 1)
    folder = pathlib.Path(job.weights)
    probe = np.load(folder / PROBE)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = float(probe["epsilon"])
    tensors = {name: torch.from_numpy(tensor) for name, tensor in np.load(folder / TORCH).items()}
    unknown = network.load_state_dict(tensors, strict=False)
    left = {name for name in unknown.missing_keys if not name.endswith("num_batches_tracked")}
    if unknown.unexpected_keys or left != {"fc.weight", "fc.bias"}:
        raise ValueError(f"the weights do not fit: {unknown}")
    with clock.paused(), torch.inference_mode():
        body = nn.Sequential(*list(network.eval().children())[:-1], nn.Flatten())
        pixels = torch.from_numpy(probe["images"] - probe["rgb_means"]).float().permute(0, 3, 1, 2)
        check_features(body(pixels).numpy(), probe["features"], "torchvision")
    return network.train()


def means_and_deviations(job: Job) -> tuple[list[float], list[float]]:
    """Returns by what pixels of 0 to 1 are normalised for these weights, in the order red, green, blue."""
    means = np.load(pathlib.Path(job.weights) / PROBE)["rgb_means"] / 255
    return means.tolist(), [1 / 255] * 3


def fastai(job: Job, clock: Clock) -> None:
    """`vision_learner(…).fine_tune(epochs)`."""
    from fastai.vision import all as vision
    from fastai.vision.learner import model_meta
    from torchvision.models import resnet50

    vision.set_seed(job.seed)

    def architecture(weights: object = None) -> nn.Module:
        return pretrained(job, clock)

    model_meta[architecture] = {**model_meta[resnet50], "stats": means_and_deviations(job)}
    labels = dict(job.train + job.validation)
    in_validation = {path for path, _ in job.validation}
    block = vision.DataBlock(
        blocks=(vision.ImageBlock, vision.CategoryBlock(vocab=job.class_names)),
        splitter=vision.FuncSplitter(in_validation.__contains__),
        get_y=lambda path: job.class_names[labels[path]],
        item_tfms=vision.Resize(PRESIZED),
        batch_tfms=vision.aug_transforms(size=job.side),
    )
    loaders = block.dataloaders(list(labels))
    learner = vision.vision_learner(loaders, architecture, metrics=vision.accuracy)
    epochs = job.options["epochs"]
    with learner.no_bar(), learner.no_logging():
        learner.fine_tune(epochs)
    spent = clock.read()
    answers = []
    for part in (job.validation, job.test):
        paths = [path for path, _ in part]
        loader = loaders.test_dl(paths, shuffle=False)
        with learner.no_bar():
            probabilities, _ = learner.get_preds(dl=loader)
        answers.append(probabilities.clamp_min(1e-12).log().tolist())
    tell(f"fine_tune({epochs})", spent, *answers, is_last=True)


class PhotoFiles(Dataset):
    """Photos and the numbers of their classes, as torchvision's `ImageFolder` gives them."""

    def __init__(self, images: Images, transform: Callable) -> None:
        self._images, self._transform = images, transform

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, number: int):
        from torchvision.datasets.folder import default_loader

        path, label = self._images[number]
        return self._transform(default_loader(path)), label


def tutorial(job: Job, clock: Clock) -> None:
    """PyTorch's tutorial; a point after some epochs, with the best weights until then."""
    from torchvision import transforms

    torch.manual_seed(job.seed)
    finish = [transforms.ToTensor(), transforms.Normalize(*means_and_deviations(job))]
    views = [transforms.RandomResizedCrop(job.side), transforms.RandomHorizontalFlip()]
    centre = [transforms.Resize(round(RESIZED * job.side)), transforms.CenterCrop(job.side)]

    def loader(images: Images, steps: list, shuffle: bool) -> DataLoader:
        files = PhotoFiles(images, transforms.Compose(steps + finish))
        return DataLoader(files, batch_size=4, shuffle=shuffle, num_workers=4)

    train = loader(job.train, views, shuffle=True)
    validation, test = (loader(part, centre, False) for part in (job.validation, job.test))
    network = pretrained(job, clock)
    trains_all = job.options["trains"] == "everything"
    for parameter in network.parameters():
        parameter.requires_grad = trains_all
    network.fc = nn.Linear(network.fc.in_features, len(job.class_names))
    trained = network.parameters() if trains_all else network.fc.parameters()
    optimizer = torch.optim.SGD(trained, lr=0.001, momentum=0.9)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, step_size=7, gamma=0.1)
    labels = torch.tensor([label for _, label in job.validation])
    best, best_logits, best_weights = -1.0, torch.empty(0), network.state_dict()
    for epoch in range(1, job.options["epochs"] + 1):
        _train_an_epoch(network, optimizer, train)
        schedule.step()
        logits = _logits(network, validation)
        accuracy = float((logits.argmax(1) == labels).float().mean())
        if accuracy > best:
            best, best_logits = accuracy, logits
            best_weights = copy.deepcopy(network.state_dict())
        spent = clock.read()
        is_last = epoch == job.options["epochs"] or spent[0] > job.longest
        if not is_last and epoch not in POINTS_AFTER:
            continue
        with clock.paused():
            now = copy.deepcopy(network.state_dict())
            network.load_state_dict(best_weights)
            answers = best_logits.tolist(), _logits(network, test).tolist()
            tell(f"{epoch} epoch{'s' * (epoch > 1)}", spent, *answers, is_last)
            network.load_state_dict(now)
        if is_last:
            break


def _train_an_epoch(
    network: nn.Module, optimizer: torch.optim.Optimizer, batches: DataLoader
) -> None:
    network.train()
    for images, labels in batches:
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(images), labels).backward()
        optimizer.step()


def _logits(network: nn.Module, batches: DataLoader) -> torch.Tensor:
    network.eval()
    with torch.no_grad():
        return torch.cat([network(images) for images, _ in batches])


if __name__ == "__main__":
    given_job, running_clock = begin()
    operators = import_torchvision()
    {"fastai": fastai, "tutorial": tutorial}[given_job.options["of"]](given_job, running_clock)

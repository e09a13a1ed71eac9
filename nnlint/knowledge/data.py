"""Loaders, wrappers of iterables, samplers and ready-made data sets, by qualified name."""

from __future__ import annotations

from nnlint.knowledge.notation import words
from nnlint.knowledge.schema import Dataset

# Classes whose instances yield batches: (parameters in order).
LOADERS: dict[str, tuple[str, ...]] = {
    "torch.utils.data.DataLoader": words(
        "dataset batch_size shuffle sampler batch_sampler num_workers collate_fn pin_memory drop_last timeout worker_init_fn"
    ),
    "torch_geometric.loader.DataLoader": ("dataset", "batch_size", "shuffle", "follow_batch", "exclude_keys"),
    "torch_geometric.loader.DataListLoader": ("dataset", "batch_size", "shuffle"),
    "torch_geometric.loader.DenseDataLoader": ("dataset", "batch_size", "shuffle"),
    "torch_geometric.loader.NeighborLoader": ("data", "num_neighbors"),
    "torch_geometric.loader.LinkNeighborLoader": ("data", "num_neighbors"),
    "torch_geometric.loader.HGTLoader": ("data", "num_samples"),
    "torch_geometric.loader.ClusterLoader": ("cluster_data",),
    "torch_geometric.loader.GraphSAINTNodeSampler": ("data", "batch_size"),
    "torch_geometric.loader.GraphSAINTEdgeSampler": ("data", "batch_size"),
    "torch_geometric.loader.GraphSAINTRandomWalkSampler": ("data", "batch_size", "walk_length"),
    "torch_geometric.loader.NeighborSampler": ("edge_index", "sizes"),
    "torch_geometric.loader.RandomNodeLoader": ("data", "num_parts"),
    "torch_geometric.loader.ShaDowKHopSampler": ("data", "depth", "num_neighbors"),
    "dgl.dataloading.GraphDataLoader": ("dataset",),
    "dgl.dataloading.DataLoader": ("graph", "indices", "graph_sampler"),
    "torchdata.stateful_dataloader.StatefulDataLoader": ("dataset", "batch_size", "shuffle", "sampler"),
    "torchdata.nodes.Loader": ("root",),
    "torchtext.data.Iterator": ("dataset", "batch_size"),
    "torchtext.data.BucketIterator": ("dataset", "batch_size"),
    "torchtext.data.BPTTIterator": ("dataset", "batch_size", "bptt_len"),
    "torchtext.legacy.data.Iterator": ("dataset", "batch_size"),
    "torchtext.legacy.data.BucketIterator": ("dataset", "batch_size"),
    "torchtext.legacy.data.BPTTIterator": ("dataset", "batch_size", "bptt_len"),
    "monai.data.DataLoader": ("dataset", "num_workers"),
    "monai.data.ThreadDataLoader": ("dataset",),
    "webdataset.WebLoader": ("dataset",),
    "ffcv.loader.Loader": ("fname", "batch_size"),
    "nvidia.dali.plugin.pytorch.DALIGenericIterator": ("pipelines", "output_map"),
    "nvidia.dali.plugin.pytorch.DALIClassificationIterator": ("pipelines",),
    "timm.data.create_loader": ("dataset", "input_size", "batch_size", "is_training"),
    "prefetch_generator.BackgroundGenerator": ("generator",),
    "torch_xla.distributed.parallel_loader.ParallelLoader": ("loader", "devices"),
    "torch_xla.distributed.parallel_loader.MpDeviceLoader": ("loader", "device"),
}

# Functions that return several loaders at once.
LOADER_FACTORIES: frozenset[str] = frozenset(
    {
        "torchtext.data.Iterator.splits",
        "torchtext.data.BucketIterator.splits",
        "torchtext.data.BPTTIterator.splits",
        "torchtext.legacy.data.BucketIterator.splits",
        "torchtext.legacy.data.Iterator.splits",
    }
)

# Calls that yield what their first iterable yields, in another order or number at most. The parameter that holds it.
ITERABLES: dict[str, str] = {
    "tqdm.tqdm": "iterable",
    "rich.progress.track": "sequence",
    "fastprogress.progress_bar": "gen",
    "fastprogress.master_bar": "gen",
    "fastprogress.fastprogress.progress_bar": "gen",
    "fastprogress.fastprogress.master_bar": "gen",
    "alive_progress.alive_it": "it",
    "progressbar.progressbar": "iterator",
    "accelerate.skip_first_batches": "dataloader",
    "click.progressbar": "iterable",
    "iter": "object",
    "list": "iterable",
    "tuple": "iterable",
    "reversed": "sequence",
    "sorted": "iterable",
    "itertools.islice": "iterable",
    "itertools.cycle": "iterable",
    "itertools.takewhile": "iterable",
    "itertools.dropwhile": "iterable",
    "prefetch_generator.BackgroundGenerator": "generator",
}

# Calls that yield tuples or numbers made of what they are given.
COMBINING_ITERABLES: frozenset[str] = frozenset(
    {
        "enumerate",
        "zip",
        "itertools.chain",
        "itertools.chain.from_iterable",
        "itertools.zip_longest",
        "itertools.product",
        "itertools.repeat",
    }
)

# Calls that yield consecutive integers.
RANGES: frozenset[str] = frozenset({"range", "tqdm.trange", "itertools.count", "numpy.arange"})

# Methods of a progress bar that say nothing about training.
BAR_METHODS: frozenset[str] = frozenset(
    words("set_description set_description_str set_postfix set_postfix_str update close write refresh clear reset display")
)

SAMPLERS: frozenset[str] = frozenset(
    f"torch.utils.data.{name}"
    for name in words("BatchSampler RandomSampler Sampler SequentialSampler SubsetRandomSampler WeightedRandomSampler")
) | {"torch.utils.data.distributed.DistributedSampler"}

# Samplers that need `set_epoch` before every epoch to shuffle anew.
EPOCH_SAMPLERS: frozenset[str] = frozenset(
    {
        "torch.utils.data.distributed.DistributedSampler",
        "monai.data.DistributedSampler",
        "timm.data.distributed_sampler.RepeatAugSampler",
        "torchvision.datasets.samplers.DistributedSampler",
    }
)

# Frameworks' loaders that call set_epoch themselves: nothing to report.
EPOCH_OWNERS: frozenset[str] = frozenset({"lightning.pytorch.Trainer", "accelerate.Accelerator", "transformers.Trainer"})

# Data sets made of others: name -> the parameter that holds them.
DERIVED_DATASETS: dict[str, str] = {
    "torch.utils.data.Subset": "dataset",
    "torch.utils.data.ConcatDataset": "datasets",
    "torch.utils.data.ChainDataset": "datasets",
    "torch.utils.data.random_split": "dataset",
    "torch.utils.data.StackDataset": "args",
    "torch.utils.data.TensorDataset": "tensors",
}

# Base classes of data sets: indexed ones, and those that are only iterated (never shuffled by the loader).
DATASET_BASES: frozenset[str] = frozenset(
    {
        "torch.utils.data.Dataset",
        "torch_geometric.data.Dataset",
        "torch_geometric.data.InMemoryDataset",
        "torchvision.datasets.VisionDataset",
    }
)
ITERABLE_DATASET_BASES: frozenset[str] = frozenset(
    {"torch.utils.data.IterableDataset", "torch.utils.data.IterDataPipe", "webdataset.WebDataset", "webdataset.DataPipeline"}
)

_BOOLEAN = Dataset("train", (True,), (False,), default=True)


def _split(names: str, dataset: Dataset) -> dict[str, Dataset]:
    return {f"torchvision.datasets.{name}": dataset for name in names.split()}


DATASETS: dict[str, Dataset] = {
    **_split("CIFAR10 CIFAR100 MNIST FashionMNIST KMNIST QMNIST EMNIST USPS", _BOOLEAN),
    **_split("SVHN", Dataset("split", ("train", "extra"), ("test",), default="train")),
    **_split("STL10", Dataset("split", ("train", "train+unlabeled", "unlabeled"), ("test",), default="train")),
    **_split("ImageNet Imagenette", Dataset("split", ("train",), ("val",), default="train")),
    **_split("CelebA", Dataset("split", ("train",), ("valid", "test", "all"), default="train")),
    **_split("LSUN", Dataset("classes", ("train",), ("val", "test"), default="train")),
    **_split("Cityscapes", Dataset("split", ("train", "train_extra"), ("val", "test"), default="train")),
    **_split("VOCSegmentation VOCDetection", Dataset("image_set", ("train", "trainval"), ("val", "test"), default="train")),
    **_split("SBDataset", Dataset("image_set", ("train", "train_noval"), ("val",), "transforms", default="train")),
    **_split("Caltech101 Caltech256 EuroSAT SEMEION Omniglot", Dataset()),
    **_split("FGVCAircraft", Dataset("split", ("train", "trainval"), ("val", "test"), default="trainval")),
    **_split("Flowers102 DTD", Dataset("split", ("train",), ("val", "test"), default="train")),
    **_split("Food101 GTSRB StanfordCars RenderedSST2", Dataset("split", ("train",), ("test", "val"), default="train")),
    **_split("OxfordIIITPet", Dataset("split", ("trainval",), ("test",), default="trainval")),
    **_split("Country211", Dataset("split", ("train",), ("valid", "test"), default="train")),
    **_split("PCAM", Dataset("split", ("train",), ("val", "test"), default="train")),
    **_split("FER2013", Dataset("split", ("train",), ("test",), default="train")),
    **_split("Places365", Dataset("split", ("train-standard", "train-challenge"), ("val", "test"), default="train-standard")),
    **_split("INaturalist", Dataset("version")),
    **_split("Kinetics", Dataset("split", ("train",), ("val", "test"), default="train")),
    **_split("UCF101 HMDB51", _BOOLEAN),
    **_split("ImageFolder DatasetFolder FakeData CocoDetection CocoCaptions", Dataset()),
}

# torchvision transforms (v1 and v2) that draw random numbers: wrong on evaluation data unless meant for test-time augmentation.
RANDOM_TRANSFORMS: frozenset[str] = frozenset(
    f"torchvision.transforms.{version}{name}"
    for version in ("", "v2.")
    for name in words(
        "AugMix AutoAugment ColorJitter ElasticTransform RandAugment RandomAdjustSharpness RandomAffine RandomApply RandomAutocontrast "
        "RandomChoice RandomCrop RandomEqualize RandomErasing RandomGrayscale RandomHorizontalFlip RandomInvert RandomOrder "
        "RandomPerspective RandomPosterize RandomResizedCrop RandomRotation RandomSolarize RandomVerticalFlip TrivialAugmentWide"
    )
)

# Of those, the ones that move pixels: a target with geometry has to move along.
GEOMETRIC_TRANSFORMS: frozenset[str] = frozenset(
    f"torchvision.transforms.{version}{name}"
    for version in ("", "v2.")
    for name in words(
        "ElasticTransform RandomAffine RandomCrop RandomHorizontalFlip RandomPerspective RandomResizedCrop "
        "RandomRotation RandomVerticalFlip"
    )
)

# Sizes that ready-made data sets have, as (channels, height, width), and their number of classes.
SHAPES: dict[str, tuple[tuple[int, int, int], int]] = {
    "torchvision.datasets.CIFAR10": ((3, 32, 32), 10),
    "torchvision.datasets.CIFAR100": ((3, 32, 32), 100),
    "torchvision.datasets.SVHN": ((3, 32, 32), 10),
    "torchvision.datasets.STL10": ((3, 96, 96), 10),
    "torchvision.datasets.MNIST": ((1, 28, 28), 10),
    "torchvision.datasets.FashionMNIST": ((1, 28, 28), 10),
    "torchvision.datasets.KMNIST": ((1, 28, 28), 10),
    "torchvision.datasets.QMNIST": ((1, 28, 28), 10),
    "torchvision.datasets.USPS": ((1, 16, 16), 10),
}

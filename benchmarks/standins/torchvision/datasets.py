"""Datasets of random images."""

import torch


class _Images:
    size, channels, classes, count = 28, 1, 10, 512

    def __init__(self, root=None, *args, transform=None, target_transform=None, **kwargs):
        numbers = torch.Generator().manual_seed(1)
        self.transform = transform
        self.data = torch.randint(0, 256, (self.count, self.size, self.size), generator=numbers, dtype=torch.uint8)
        self.targets = torch.randint(0, self.classes, (self.count,), generator=numbers)
        self.train_data, self.train_labels = self.data, self.targets

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        if index >= self.count:
            raise IndexError(index)
        image = (self.data[index].float() / 255).expand(self.channels, -1, -1).clone()
        return image if self.transform is None else self.transform(image), int(self.targets[index])


class MNIST(_Images):
    pass


class FakeData(_Images):
    size, channels = 64, 3

    def __init__(self, *args, image_size=(3, 64, 64), transform=None, **kwargs):
        self.channels, self.size = image_size[0], image_size[1]
        super().__init__(transform=transform)


class CIFAR10(_Images):
    size, channels = 32, 3


class ImageFolder(_Images):
    size, channels = 64, 3

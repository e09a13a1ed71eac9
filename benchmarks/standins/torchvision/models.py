"""One small network under the name of a large one."""

from torch import nn


class _Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 3, stride=2, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(64, 10)

    def forward(self, x):
        return self.fc(self.pool(self.bn1(self.conv1(x)).relu()).flatten(1))


def resnet18(weights=None):
    return _Net()

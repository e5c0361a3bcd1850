"""The network, one file for each box of the paper's figure 2. It knows no data set, loss, NMS, file or device."""

from yolact.model.yolact import Yolact as Yolact
from yolact.model.yolact import build_model as build_model

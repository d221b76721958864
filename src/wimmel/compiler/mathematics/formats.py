"""Floating-point formats, and the polynomials that fit them."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Format:
    """A floating-point format, with polynomials for it.

    Attributes
    ----------
    kind, whole : str
        The language's kinds: its own, and whole numbers of as many bits.
    fraction, bias : int
        Bits of the fraction, and what is added to the exponent.
    sqrt_half : int
        The bits of sqrt(1/2).
    ln2_high, ln2_low : float
        Their sum is log 2; the first times an exponent is exact.
    exp_ends : pair of float
        Where e^x has become zero and infinite.
    tanh_is_one, erf_is_one : float
        From where on.
    exp, log, tanh, erf, log_erfc : tuple of float
        ========  ==============================================================================
        exp       e^r = 1 + r + r^2 P(r) for |r| up to log(2) / 2
        log       log(1 + f) = f - f^2/2 + f^3 P(f) for 1 + f from sqrt(1/2) to sqrt(2) (f32),
                  2 artanh s = 2 s + s^3 P(s^2) with s = f / (2 + f) for the same (f64)
        tanh      tanh x = x + x^3 P(x^2) up to `TANH_NEAR`
        erf       erf x = x + x P(x^2) up to 1
        log_erfc  log erfc x = P(x) from 1 to `erf_is_one`, weighed by what it does to erf x
        ========  ==============================================================================

        The lowest coefficient comes first. They are minimax fits of the whole function's relative error (Remez'
        exchange with 60 digits), where each coefficient in turn, from the lowest on, was rounded to the format and
        those above it fitted anew. The largest error of the rounded polynomial stands beside it.
    """

    kind: str
    whole: str
    fraction: int
    bias: int
    sqrt_half: int
    ln2_high: float
    ln2_low: float
    exp_ends: tuple[float, float]
    tanh_is_one: float
    erf_is_one: float
    exp: tuple[float, ...]
    log: tuple[float, ...]
    tanh: tuple[float, ...]
    erf: tuple[float, ...]
    log_erfc: tuple[float, ...]

    @property
    def one(self) -> int:
        """The bits of 1."""
        return self.bias << self.fraction

    @property
    def exponent_mask(self) -> int:
        return (2 * self.bias + 1) << self.fraction

    @property
    def sign_mask(self) -> int:
        return -(2 * self.bias + 2 << self.fraction)


TANH_NEAR = 0.55

# fmt: off
SINGLE = Format(
    kind="f32",
    whole="i32",
    fraction=23,
    bias=127,
    sqrt_half=0x3F3504F3,
    ln2_high=0.693145751953125,
    ln2_low=1.4286068e-06,
    exp_ends=(-104.0, 89.0),
    tanh_is_one=10.0,
    erf_is_one=4.0,
    exp=(  # 2^-28.2
        0.49999994, 0.16666515, 0.041668087, 0.008369297, 0.0013838246,
    ),
    log=(  # 2^-27.4
        0.3333333, -0.25000823, 0.2000126, -0.16623345, 0.14201072, -0.13159555, 0.12765741,
        -0.076411724,
    ),
    tanh=(  # 2^-29.7
        -0.33333316, 0.13332544, -0.053847548, 0.021050714, -0.0062428494,
    ),
    erf=(  # 2^-29.4
        0.12837917, -0.37612626, 0.11283579, -0.026853347, 0.005187162, -0.0007997853, 7.806904e-05,
    ),
    log_erfc=(  # 2^-29.8
        -0.00034152524, -1.1270891, -0.63814497, -0.10310659, 0.021837963, -0.0029476278,
        0.00018637556,
    ),
)

DOUBLE = Format(
    kind="f64",
    whole="i64",
    fraction=52,
    bias=1023,
    sqrt_half=0x3FE6A09E667F3BCD,
    ln2_high=0.6931471805598903,
    ln2_low=5.497923018708371e-14,
    exp_ends=(-746.0, 710.0),
    tanh_is_one=20.0,
    erf_is_one=6.0,
    exp=(  # 2^-63.4
        0.5, 0.1666666666666669, 0.04166666666666686, 0.00833333333331167, 0.0013888888888745176,
        0.00019841269909210145, 2.4801587657914716e-05, 2.7557222514222663e-06,
        2.755695207106262e-07, 2.51161815633285e-08, 2.1023170938260465e-09,
    ),
    log=(  # 2^-59.5
        0.6666666666666735, 0.39999999999409, 0.28571428743830807, 0.22222198408007496,
        0.18183573740752101, 0.153137896166261, 0.14798751540667685,
    ),
    tanh=(  # 2^-55.5
        -0.33333333333332316, 0.1333333333316893, -0.05396825387616253, 0.02186948597641028,
        -0.008863194522245217, 0.00359171982404034, -0.001453217308498163, 0.0005791384819027851,
        -0.00021030457094797642, 5.102285272212171e-05,
    ),
    erf=(  # 2^-56.0
        0.12837916709551256, -0.37612638903183343, 0.1128379167093695, -0.026866170641959137,
        0.0052239775967357965, -0.0008548325484987412, 0.00012055280495794947,
        -1.492446561023071e-05, 1.644414992756592e-06, -1.6183983188202877e-07,
        1.3616646891731928e-08, -7.607671691005614e-10,
    ),
    log_erfc=(  # 2^-54.8
        -1.0633457977472754e-06, -1.1283687144403365, -0.6366675693637556, -0.10263767398648233,
        0.018865426630960292, 0.0005840113700257641, -0.0020987277996322782, 0.0009199127499886077,
        -0.00023063399331625835, 2.799360233655737e-05, 3.6120078888600575e-06,
        -2.6731976613157116e-06, 6.877888592608462e-07, -1.0822603888049002e-07,
        1.0903854726968028e-08, -6.518467982722212e-10, 1.7705174202190076e-11,
    ),
)

ROUGH_DOUBLE = replace(
    DOUBLE,
    exp=SINGLE.exp,
    log=(  # 2^-37.6
        0.6666666564685253, 0.40000334978194285, 0.28537316637268184, 0.2358208512161377,
    ),
)
"""Doubles that will be rounded to singles."""

LONG_ARTANH = (  # 2^-66.3
    0.20000000000001128, 0.1428571428504967, 0.11111111260004537, 0.09090892177994599,
    0.07693378999320075, 0.06628399420432113, 0.0659826670735768,
)
"""artanh s = s + s^3/3 + s^5 P(s^2), for s as in `Format`."""
# fmt: on

THIRD, THIRD_LOW = 1 / 3, 1.850371707708594e-17
"""1/3 in two parts."""

FORMATS = {"f32": SINGLE, "f64": DOUBLE}

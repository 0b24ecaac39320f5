"""The units that UCUM builds on, by code: what each is worth in terms of others.

A table: the factor, and the unit it is of; None for base units and for those that only convert to themselves.

https://ucum.org/ucum#section-Tables-of-Terminal-Symbols
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

PREFIXES: Mapping[str, Fraction] = {
    "Y": Fraction(10**24), "Z": Fraction(10**21), "E": Fraction(10**18), "P": Fraction(10**15), "T": Fraction(10**12), "G": Fraction(10**9), "M": Fraction(10**6),
    "k": Fraction(1000), "h": Fraction(100), "da": Fraction(10), "d": Fraction(1, 10), "c": Fraction(1, 100), "m": Fraction(1, 1000), "u": Fraction(1, 10**6),
    "n": Fraction(1, 10**9), "p": Fraction(1, 10**12), "f": Fraction(1, 10**15), "a": Fraction(1, 10**18), "z": Fraction(1, 10**21), "y": Fraction(1, 10**24),
    "Ki": Fraction(2**10), "Mi": Fraction(2**20), "Gi": Fraction(2**30), "Ti": Fraction(2**40),
}  # fmt: skip

_PI = Fraction("3.1415926535897932384626433832795028841971693993751")

_METRIC: Mapping[str, tuple[Fraction, str | None]] = {
    # Base units
    "m": (Fraction(1), None), "s": (Fraction(1), None), "g": (Fraction(1), None), "rad": (Fraction(1), None), "K": (Fraction(1), None), "C": (Fraction(1), None),
    "cd": (Fraction(1), None),
    # SI
    "mol": (Fraction("6.02214076"), "10*23"), "sr": (Fraction(1), "rad2"), "Hz": (Fraction(1), "s-1"), "N": (Fraction(1), "kg.m/s2"),
    "Pa": (Fraction(1), "N/m2"), "J": (Fraction(1), "N.m"), "W": (Fraction(1), "J/s"), "A": (Fraction(1), "C/s"), "V": (Fraction(1), "J/C"),
    "F": (Fraction(1), "C/V"), "Ohm": (Fraction(1), "V/A"), "S": (Fraction(1), "Ohm-1"), "Wb": (Fraction(1), "V.s"), "T": (Fraction(1), "Wb/m2"),
    "H": (Fraction(1), "Wb/A"), "lm": (Fraction(1), "cd.sr"), "lx": (Fraction(1), "lm/m2"), "Bq": (Fraction(1), "s-1"), "Gy": (Fraction(1), "J/kg"),
    "Sv": (Fraction(1), "J/kg"), "kat": (Fraction(1), "mol/s"),
    # Of ISO 1000 and around it
    "l": (Fraction(1), "dm3"), "L": (Fraction(1), "l"), "ar": (Fraction(100), "m2"), "t": (Fraction(1000), "kg"), "bar": (Fraction(100000), "Pa"),
    "u": (Fraction("1.6605390666e-24"), "g"), "eV": (Fraction("1.602176634e-19"), "J"), "pc": (Fraction("3.085678e16"), "m"),
    "U": (Fraction(1), "umol/min"), "eq": (Fraction(1), "mol"), "osm": (Fraction(1), "mol"), "g%": (Fraction(1), "g/dl"),
    "m[H2O]": (Fraction("9806.65"), "Pa"), "m[Hg]": (Fraction("133322.387415"), "Pa"), "cal": (Fraction("4.184"), "J"),
    "cal_IT": (Fraction("4.1868"), "J"), "cal_th": (Fraction("4.184"), "J"), "dyn": (Fraction(1, 10**5), "N"), "erg": (Fraction(1, 10**7), "J"),
    "P": (Fraction(1, 10), "Pa.s"), "St": (Fraction(1), "cm2/s"), "Gal": (Fraction(1), "cm/s2"), "Ci": (Fraction("3.7e10"), "Bq"),
    "R": (Fraction("2.58e-4"), "C/kg"), "RAD": (Fraction(100), "erg/g"), "REM": (Fraction(1), "RAD"), "mho": (Fraction(1), "S"), "G": (Fraction(1, 10**4), "T"),
    "bit": (Fraction(1), None), "By": (Fraction(8), "bit"), "Bd": (Fraction(1), "s-1"), "kat_": (Fraction(1), None), "st": (Fraction(1), "m3"),
    "[iU]": (Fraction(1), None), "[IU]": (Fraction(1), "[iU]"),
}  # fmt: skip
METRIC = frozenset(_METRIC) - {"kat_"}
"""The units that take prefixes."""

ATOMS: Mapping[str, tuple[Fraction, str | None]] = {
    **{code: row for code, row in _METRIC.items() if code in METRIC},
    # Numbers
    "10*": (Fraction(10), "1"), "10^": (Fraction(10), "1"), "%": (Fraction(1, 100), "1"), "[ppth]": (Fraction(1, 1000), "1"),
    "[ppm]": (Fraction(1, 10**6), "1"), "[ppb]": (Fraction(1, 10**9), "1"), "[pptr]": (Fraction(1, 10**12), "1"), "[pi]": (_PI, "1"),
    # Time
    "min": (Fraction(60), "s"), "h": (Fraction(60), "min"), "d": (Fraction(24), "h"), "wk": (Fraction(7), "d"), "a": (Fraction("365.25"), "d"),
    "a_j": (Fraction("365.25"), "d"), "a_t": (Fraction("365.24219"), "d"), "a_g": (Fraction("365.2425"), "d"), "mo": (Fraction("30.4375"), "d"),
    "mo_j": (Fraction("30.4375"), "d"), "mo_g": (Fraction("30.436875"), "d"), "mo_s": (Fraction("29.53059"), "d"),
    # Angles
    "deg": (2 * _PI / 360, "rad"), "'": (Fraction(1, 60), "deg"), "''": (Fraction(1, 60), "'"), "gon": (Fraction(9, 10), "deg"),
    "circ": (2 * _PI, "rad"),
    # Length, area, volume of the trades
    "[in_i]": (Fraction("2.54"), "cm"), "[ft_i]": (Fraction(12), "[in_i]"), "[yd_i]": (Fraction(3), "[ft_i]"), "[mi_i]": (Fraction(5280), "[ft_i]"),
    "[nmi_i]": (Fraction(1852), "m"), "[fth_i]": (Fraction(6), "[ft_i]"), "[hd_i]": (Fraction(4), "[in_i]"), "[kn_i]": (Fraction(1), "[nmi_i]/h"),
    "[sin_i]": (Fraction(1), "[in_i]2"), "[sft_i]": (Fraction(1), "[ft_i]2"), "[syd_i]": (Fraction(1), "[yd_i]2"), "[cin_i]": (Fraction(1), "[in_i]3"),
    "[cft_i]": (Fraction(1), "[ft_i]3"), "[mil_i]": (Fraction(1, 1000), "[in_i]"), "[in_us]": (Fraction(1, 12), "[ft_us]"),
    "[ft_us]": (Fraction(1200, 3937), "m"), "[yd_us]": (Fraction(3), "[ft_us]"), "[mi_us]": (Fraction(5280), "[ft_us]"),
    "[acr_us]": (Fraction(160), "[rd_us]2"), "[rd_us]": (Fraction("16.5"), "[ft_us]"), "Ao": (Fraction(1, 10), "nm"), "b": (Fraction(100), "fm2"),
    "AU": (Fraction("149597.870691"), "Mm"),
    "[gal_us]": (Fraction(231), "[in_i]3"), "[qt_us]": (Fraction(1, 4), "[gal_us]"), "[pt_us]": (Fraction(1, 2), "[qt_us]"),
    "[gil_us]": (Fraction(1, 4), "[pt_us]"), "[foz_us]": (Fraction(1, 4), "[gil_us]"), "[fdr_us]": (Fraction(1, 8), "[foz_us]"),
    "[min_us]": (Fraction(1, 60), "[fdr_us]"), "[tbs_us]": (Fraction(1, 2), "[foz_us]"), "[tsp_us]": (Fraction(1, 3), "[tbs_us]"),
    "[cup_us]": (Fraction(16), "[tbs_us]"), "[cup_m]": (Fraction(240), "ml"), "[foz_m]": (Fraction(30), "ml"), "[tsp_m]": (Fraction(5), "ml"),
    "[tbs_m]": (Fraction(15), "ml"), "[gal_br]": (Fraction("4.54609"), "l"), "[qt_br]": (Fraction(1, 4), "[gal_br]"),
    "[pt_br]": (Fraction(1, 2), "[qt_br]"), "[foz_br]": (Fraction(1, 20), "[pt_br]"), "[drp]": (Fraction(1, 20), "ml"),
    # Mass, force, pressure, energy, heat
    "[gr]": (Fraction("64.79891"), "mg"), "[lb_av]": (Fraction(7000), "[gr]"), "[oz_av]": (Fraction(1, 16), "[lb_av]"),
    "[dr_av]": (Fraction(1, 16), "[oz_av]"), "[ston_av]": (Fraction(2000), "[lb_av]"), "[stone_av]": (Fraction(14), "[lb_av]"),
    "[oz_tr]": (Fraction(480), "[gr]"), "[lb_tr]": (Fraction(12), "[oz_tr]"), "[lb_ap]": (Fraction(12), "[oz_ap]"), "[oz_ap]": (Fraction(480), "[gr]"),
    "[dr_ap]": (Fraction(60), "[gr]"), "[car_m]": (Fraction(1, 5), "g"), "[lbf_av]": (Fraction("9.80665") * Fraction("0.45359237"), "N"),
    "gf": (Fraction("9.80665"), "g.m/s2"), "[g]": (Fraction("9.80665"), "m/s2"), "[psi]": (Fraction(1), "[lbf_av]/[in_i]2"),
    "atm": (Fraction(101325), "Pa"), "att": (Fraction("98066.5"), "Pa"), "[in_i'Hg]": (Fraction("25.4") * Fraction("133.322387415"), "Pa"),
    "[in_i'H2O]": (Fraction("25.4") * Fraction("9.80665"), "Pa"), "[Cal]": (Fraction(1), "kcal"), "[Btu]": (Fraction("1.05506"), "kJ"),
    "[Btu_IT]": (Fraction("1.05505585262"), "kJ"), "[HP]": (Fraction(550), "[ft_i].[lbf_av]/s"), "[MET]": (Fraction("3.5"), "mL/min/kg"),
    "[degR]": (Fraction(5, 9), "K"), "[c]": (Fraction(299792458), "m/s"), "[e]": (Fraction("1.602176634e-19"), "C"),
    "[Ch]": (Fraction(1, 3), "mm"), "[diop]": (Fraction(1), "m-1"), "[mesh_i]": (Fraction(1), "[in_i]-1"),
}  # fmt: skip
"""All units that are known; those in brackets without a row convert to themselves."""

SPECIAL: Mapping[str, tuple[Fraction, Fraction]] = {
    "Cel": (Fraction(1), Fraction("273.15")),
    "[degF]": (Fraction(5, 9), Fraction("459.67")),
    "[degRe]": (Fraction(5, 4), Fraction("218.52")),
}
"""Degrees that do not begin at the absolute zero: the factor to kelvins, and what is added before."""

"""The words of which simulated text is made."""

from __future__ import annotations

_TEXT = """
a about across after again all alone along also always among an and another any around as at away back band be
because been before began behind bell below beneath beside best better between beyond bird black blue boat both
bridge bright brother but by call calm came can candle chord circle city clear close cloud cold come could country
crowd dance dark dawn day deep did distant do door down dream drift drum dust each early earth east easy echo edge
empty end engine even evening ever every eye face fall far feel few field find fire first five flame floor flow
follow for forest forever found four free friend from full garden gate gave give go gold gone good grass gray great
green ground guitar had half hand has have he hear heart heavy her here high hill him his hold home hope horse hour
house how hundred i if in into is it its jam journey just keep key kind knew know land large last late laugh lead
leaf learn leave left less let letter life light like line lion listen little live long look lost love low made make
man many may me mean measure melody might mile mind mirror moment moon more morning most mountain mouth move much
music must my name near need never new next night no north not note nothing now number ocean of off often old on
once one only open or other our out over own page part pass past path people picture piece place plain play point
quiet rain reach read ready rest rhythm right ring rise river road rolling room rose round run said sail same sand
sang saw say sea season second see seem set seven shadow shall she ship shore short should show side silver simple
since sing sky sleep slow small smile snow so some song soon sound south space stage stand star start station stay
step still stone stood stop storm story strange street string strong such summer sun sure sweet take tale talk tell
than that the their them then there these they thing think this those thought three through time to today together
told too took toward town train travel tree true tune turn two under until up upon us valley verse very voice wait
walk wall want warm was watch water wave way we well went were west what wheel when where which while white who
whole why wide wild will wind window winter wish with within without woman wonder wood word work world would write
year yellow yes yet you young your
"""
WORDS: tuple[str, ...] = tuple(_TEXT.split())

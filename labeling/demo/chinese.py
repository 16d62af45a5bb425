"""Good Chinese answers to the demo's prompts. One function a genre."""

from __future__ import annotations

import random

from labeling.demo.english import WARM
from labeling.demo.prompts import Asked
from labeling.demo.words import PLACES, TOWN, Dish, dish, place, problem

COOKING = {
    "boil": ("先把{base}切好", "再放进锅里煮二十分钟", "最后加一点{extra}"),
    "bake": ("先把{base}和面粉拌匀", "再放上{extra}", "最后烤四十分钟"),
    "fry": ("先把{base}打散拌好", "再倒进热锅里慢慢煎", "最后放上{extra}"),
    "mix": ("先把{base}洗干净切好", "再放进大碗里", "最后拌上{extra}"),
}


def _ending(rng: random.Random, warm: tuple[str, ...], plain: tuple[str, ...]) -> str:
    return rng.choice(warm if rng.random() < WARM else plain)


def story(asked: Asked, rng: random.Random) -> str:
    name, animal, thing = asked.get("name"), asked.get("animal"), asked.get("thing")
    start = rng.choice(("有一天", "一天早上", "春天的时候"))
    first = f"{start}，{name}去了{rng.choice(PLACES['zh']).name}"
    if animal and thing:
        body = f"{first}，遇见了{animal}。{animal}找不到{thing}，很着急。{name}帮忙找到了{thing}。"
    elif animal:
        body = rng.choice(
            (
                f"{first}，遇见了{animal}。{animal}迷路了，{name}给它带路。",
                f"{first}，看见{animal}很饿。{name}把面包分给了{animal}。",
            )
        )
    else:
        body = rng.choice(
            (
                f"{first}，在椅子上看见一个{thing}。{name}等了很久，把{thing}还给了主人。",
                f"{first}，想找{thing}。{name}没有放弃，终于找到了{thing}。",
            )
        )
    friend = f"{name}和{animal}" if animal else name
    return body + rng.choice((f"傍晚，{friend}高高兴兴地回家了。", f"从此，{friend}每天都很快乐。"))


def note(asked: Asked, rng: random.Random) -> str:
    name, other, thing = asked.get("name"), asked.get("other"), asked.get("thing")
    thanks = rng.choice((f"谢谢你送我的{thing}。", f"非常感谢你的{thing}。"))
    more = rng.choice((f"我每天都用{thing}。", f"{thing}我很喜欢。"))
    kind = _ending(rng, ("祝你天天开心！", "希望很快见到你！"), ("昨天下午收到的。", "就放在桌子上。"))
    return f"亲爱的{other}：{thanks}{more}{kind}你的朋友{name}"


def recipe(asked: Asked, rng: random.Random) -> str:
    what: Dish = dish("zh", asked.get("dish"))
    name, extra = asked.get("name"), asked.get("extra")
    steps = "，".join(COOKING[what.method]).format(base=what.base, extra=extra or "盐")
    head = rng.choice((f"做{what.name}需要{what.base}", f"{what.name}的做法很简单，准备{what.base}"))
    head += f"和{extra}。" if extra else "。"
    who = f"{name}，" if name else ""
    kind = _ending(rng, (f"{who}请慢慢享用{what.name}！",), (f"{who}这些{what.name}够四个人吃。",))
    return f"{head}{steps}。{kind}"


def advice(asked: Asked, rng: random.Random) -> str:
    what = problem("zh", asked.get("problem"))
    name = asked.get("name")
    one, two = rng.sample(what.tips, 2)
    head = rng.choice((f"{name}{what.text}，这很正常。", f"很多人都这样，{name}不用担心。"))
    body = rng.choice((f"可以{one}，也可以{two}。", f"建议{name}{one}，然后{two}。"))
    return (
        head
        + body
        + _ending(rng, (f"{name}，加油！", "慢慢就会好的。"), (f"{name}要花几天。", "这需要时间。"))
    )


def fact(asked: Asked, rng: random.Random) -> str:
    where, name = place("zh", asked.get("place")), asked.get("name")
    said = {
        "opens": (f"{TOWN['zh']}的{where.name}{where.opens}开门。", f"{where.name}每天{where.opens}开门。"),
        "keeper": (f"{where.name}是{where.keeper}管的。", f"管{where.name}的人是{where.keeper}。"),
        "where": (f"{where.name}在{where.street}。", f"{name}可以在{where.street}找到{where.name}。"),
        "known_for": (f"{where.name}最有名的是{where.known_for}。",),
    }
    more = f"它在{where.near}旁边，那里有{where.known_for}。"
    kind = _ending(
        rng, (f"欢迎{name}来玩！", f"{name}，祝你玩得开心！"), (f"{name}走路就能到。", "晚上六点关门。")
    )
    return rng.choice(said[asked.aspect or "opens"]) + more + kind


def poem(asked: Asked, rng: random.Random) -> str:
    topic, name = asked.get("topic"), asked.get("name")
    lines = rng.choice(
        (
            (f"{topic}轻轻来到窗前，", f"{name}静静地看着远山。"),
            (f"我爱{topic}，也爱晚霞，", f"{name}在树下画一朵花。"),
        )
    )
    last = rng.choice(
        (
            (f"{topic}啊，请你慢些走，", f"{name}想和你做朋友。"),
            (f"{topic}唱着温柔的歌，", f"{name}听了心里很快乐。"),
        )
    )
    return "\n".join((*lines, *last))


GENRES = {"story": story, "note": note, "recipe": recipe, "advice": advice, "fact": fact, "poem": poem}

"""The words of the demo's world: an invented small town, the people, animals, foods and things in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Language = Literal["en", "zh"]


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


TOWN: dict[Language, str] = {"en": "Willowby", "zh": "柳溪镇"}


@dataclass(frozen=True)
class Place:
    """A place of the town and what everybody there knows about it."""

    name: str
    street: str
    near: str  # the place beside it
    keeper: str
    opens: str
    known_for: str


@dataclass(frozen=True)
class Dish:
    """A dish, what goes into it first, and how it is cooked."""

    name: str
    base: str
    method: Literal["boil", "bake", "fry", "mix"]


@dataclass(frozen=True)
class Problem:
    """What somebody asks advice about, and tips that fit."""

    text: str
    tips: tuple[str, ...]


NAMES: dict[Language, tuple[str, ...]] = {
    "en": _words(
        "Ana Ben Clara Dan Ella Finn Grace Hugo Iris Jack Kate Leo Mia Ned Olga Pete Rosa Sam Tess Walt Zoe Tom Nora Otto"
    ),
    "zh": _words("小明 小红 小兰 小刚 小雨 小华 小龙 小梅 小雪 阿宝 阿月"),
}

ANIMALS: dict[Language, tuple[str, ...]] = {
    "en": _words(
        "fox rabbit goose cat dog hedgehog duck goat mouse horse squirrel crow "
        "frog bear deer turtle hen donkey badger swan beaver sheep pony robin"
    ),
    "zh": _words("狐狸 兔子 猫头鹰 小猫 小狗 刺猬 鸭子 山羊 老鼠 小马 松鼠 青蛙"),
}

THINGS: dict[Language, tuple[str, ...]] = {
    "en": (
        "silver bell", "red kite", "torn map", "green hat", "paper boat", "little key", "blue lamp", "wooden flute",
        "warm scarf", "brass clock", "yellow umbrella", "small drum", "glass marble", "picnic basket", "story book",
        "toy train", "wool blanket", "garden spade", "tin whistle", "birthday card", "music box", "paint box",
        "straw hat", "rusty bicycle",
    ),
    "zh": _words("银铃铛 红风筝 旧地图 绿帽子 纸船 小钥匙 蓝灯笼 木笛 围巾 雨伞 故事书 小鼓"),
}  # fmt: skip

EXTRAS: dict[Language, tuple[str, ...]] = {
    "en": _words("honey walnuts cinnamon garlic butter mint raisins ginger basil cream"),
    "zh": _words("蜂蜜 核桃 大蒜 生姜 香菜 红枣"),
}

TOPICS: dict[Language, tuple[str, ...]] = {
    "en": _words("moon rain sea snow wind river dawn autumn spring sun night garden"),
    "zh": _words("月亮 春雨 大海 雪花 秋风 小河"),
}

EVENTS: dict[Language, tuple[str, ...]] = {
    "en": ("party", "picnic", "game of chess", "song evening", "walk"),
    "zh": (),
}

DISHES: dict[Language, tuple[Dish, ...]] = {
    "en": (
        Dish("pumpkin soup", "a pumpkin", "boil"), Dish("potato soup", "four potatoes", "boil"),
        Dish("lentil soup", "a cup of lentils", "boil"), Dish("noodle soup", "a bowl of noodles", "boil"),
        Dish("bean stew", "two cups of beans", "boil"), Dish("rice pudding", "a cup of rice", "boil"),
        Dish("berry jam", "a basket of berries", "boil"), Dish("apple pie", "five apples", "bake"),
        Dish("carrot cake", "three carrots", "bake"), Dish("plum cake", "a bowl of plums", "bake"),
        Dish("mushroom pie", "a bag of mushrooms", "bake"), Dish("onion bread", "two onions", "bake"),
        Dish("corn bread", "a cup of corn flour", "bake"), Dish("lemon tart", "two lemons", "bake"),
        Dish("oat cookies", "a cup of oats", "bake"), Dish("sweet buns", "a bowl of flour", "bake"),
        Dish("pancakes", "two eggs", "fry"), Dish("cheese toast", "some cheese", "fry"),
        Dish("tomato salad", "four tomatoes", "mix"), Dish("fruit salad", "a bowl of fruit", "mix"),
    ),
    "zh": (
        Dish("南瓜汤", "一个南瓜", "boil"), Dish("土豆汤", "三个土豆", "boil"), Dish("豆腐汤", "一块豆腐", "boil"),
        Dish("绿豆粥", "一碗绿豆", "boil"), Dish("苹果派", "四个苹果", "bake"), Dish("胡萝卜蛋糕", "两根胡萝卜", "bake"),
        Dish("煎饼", "两个鸡蛋", "fry"), Dish("蛋炒饭", "一碗米饭", "fry"), Dish("番茄沙拉", "四个番茄", "mix"),
        Dish("水果沙拉", "一盘水果", "mix"),
    ),
}  # fmt: skip

PLACES: dict[Language, tuple[Place, ...]] = {
    "en": (
        Place("bakery", "Mill Lane", "post office", "Mrs Hill", "six", "warm plum buns"),
        Place("library", "Oak Street", "school", "Mr Reed", "nine", "a room full of old maps"),
        Place("school", "Oak Street", "library", "Mrs Stone", "eight", "a garden with bees"),
        Place("market", "River Square", "town hall", "Mr Brook", "seven", "fresh apples"),
        Place("station", "Long Road", "hotel", "Mr Wheeler", "five", "a very loud clock"),
        Place("old mill", "Mill Lane", "park", "Mr Sands", "ten", "a wheel that still turns"),
        Place("park", "Mill Lane", "old mill", "Mrs Green", "seven", "a pond with ducks"),
        Place("harbour", "Long Road", "museum", "Mrs Waters", "six", "small painted boats"),
        Place("museum", "Long Road", "harbour", "Mr Gold", "ten", "a stone fish"),
        Place("town hall", "River Square", "market", "Mrs Page", "nine", "a green tower"),
        Place("tea house", "River Square", "bookshop", "Mr Leaf", "eleven", "ginger tea"),
        Place("post office", "Mill Lane", "bakery", "Mr Stamp", "eight", "a talking parrot"),
        Place("bookshop", "River Square", "tea house", "Mrs Ink", "ten", "a sleepy cat"),
        Place("hotel", "Long Road", "station", "Mrs Rest", "noon", "a red staircase"),
    ),
    "zh": (
        Place("图书馆", "橡树街", "学校", "李先生", "九点", "古老的地图"),
        Place("学校", "橡树街", "图书馆", "石老师", "八点", "漂亮的花园"),
        Place("集市", "河边广场", "茶馆", "陈大叔", "七点", "新鲜的苹果"),
        Place("车站", "长路", "博物馆", "钟先生", "五点", "一口大钟"),
        Place("公园", "磨坊巷", "面包店", "林阿姨", "六点", "荷花池"),
        Place("茶馆", "河边广场", "集市", "叶爷爷", "十点", "姜茶"),
        Place("博物馆", "长路", "车站", "金女士", "十点", "石头鱼"),
        Place("面包店", "磨坊巷", "公园", "何阿姨", "六点", "热乎乎的面包"),
    ),
}  # fmt: skip

PROBLEMS: dict[Language, tuple[Problem, ...]] = {
    "en": (
        Problem("cannot sleep before a test", ("put the books away early", "drink some warm milk", "breathe slowly in bed")),
        Problem("is afraid of the dark", ("leave a small lamp on", "listen to quiet music", "keep a soft toy close")),
        Problem("has lost a borrowed book", ("look under the bed", "tell the owner the truth", "offer to buy a new one")),
        Problem("feels shy at school", ("smile at one person first", "ask a small question", "join a little club")),
        Problem("had a quarrel with a friend", ("say sorry first", "listen without talking", "share a snack")),
        Problem("is bored on rainy days", ("build a fort of blankets", "draw the rain", "bake something small")),
        Problem("always comes late to school", ("pack the bag in the evening", "set two clocks", "leave ten minutes early")),
        Problem("wants to learn the piano", ("play ten minutes a day", "begin with a slow song", "count out loud")),
        Problem("misses an old home", ("write a letter home", "hang up a picture", "cook a dish from home")),
        Problem("forgets the homework", ("write it on a list", "do it right after lunch", "put the list on the door")),
        Problem("is nervous about a speech", ("practise in front of a mirror", "speak slowly", "look at a kind face")),
        Problem("wants to save some money", ("keep a jar for coins", "write down each expense", "wait a day before buying")),
    ),
    "zh": (
        Problem("考试前睡不着", ("早点收起书本", "喝一杯热牛奶", "慢慢地深呼吸")),
        Problem("怕黑", ("开一盏小灯", "听安静的音乐", "抱着软软的玩具")),
        Problem("和朋友吵架了", ("先说对不起", "认真听对方说话", "一起吃点心")),
        Problem("上学总是迟到", ("晚上先收拾书包", "多放一个闹钟", "早十分钟出门")),
        Problem("想学弹琴", ("每天练十分钟", "先弹慢的曲子", "大声数拍子")),
        Problem("总是忘记作业", ("写在小本子上", "午饭后马上做", "把清单贴在门上")),
    ),
}  # fmt: skip


def dish(language: Language, name: str) -> Dish:
    return next(one for one in DISHES[language] if one.name == name)


def place(language: Language, name: str) -> Place:
    return next(one for one in PLACES[language] if one.name == name)


def problem(language: Language, text: str) -> Problem:
    return next(one for one in PROBLEMS[language] if one.text == text)

"""Good English answers to the demo's prompts, put together from varied sentences. One function a genre."""

from __future__ import annotations

import random

from labeling.demo.prompts import Asked
from labeling.demo.words import PLACES, TOWN, Dish, dish, place, problem

WARM = 0.6
"""Share of answers with a kind word near the end. The others have a plain sentence there, as long: people differ."""

COOKING = {
    "boil": (
        "Cut {base} into small pieces.",
        "Boil it in salted water for twenty minutes.",
        "Stir {extra} into the pot.",
    ),
    "bake": (
        "Mix {base} with flour and sugar.",
        "Put {extra} on top.",
        "Bake it in the oven for forty minutes.",
    ),
    "fry": (
        "Stir {base} into some flour and milk.",
        "Heat a pan and fry it on both sides.",
        "Put {extra} on top.",
    ),
    "mix": ("Wash {base} and cut it up.", "Put it in a large bowl.", "Mix in {extra} with a spoon."),
}


def _ending(rng: random.Random, warm: tuple[str, ...], plain: tuple[str, ...]) -> str:
    return rng.choice(warm if rng.random() < WARM else plain)


def story(asked: Asked, rng: random.Random) -> str:
    name = asked.get("name")
    animal, thing = asked.get("animal"), asked.get("thing")
    where = rng.choice(PLACES["en"]).name
    start = rng.choice(("One day", "One morning", "Last spring", "On a windy day"))
    first = f"{start} {name} went to the {where}"
    if animal and thing:
        body = rng.choice(
            (
                f"{first} and met a {animal}. The {animal} was sad because a {thing} was lost. "
                f"{name} looked under every stone and found the {thing}.",
                f"{first} with a {animal}. They saw a {thing} in the grass. "
                f'"Is this {thing} yours?" {name} asked the {animal}.',
            )
        )
    elif animal:
        body = rng.choice(
            (
                f'{first} and met a {animal}. "I am lost," said the {animal}. {name} showed the {animal} the way.',
                f"{first} and heard a noise. It was a hungry {animal}. {name} shared some bread with the {animal}.",
            )
        )
    else:
        body = rng.choice(
            (
                f"{first} and found a {thing} on a bench. Nobody knew whose it was. {name} took good care of the {thing}.",
                f"{first} to look for a {thing}. The rain came, but {name} did not give up. At last the {thing} was there.",
            )
        )
    friend = f"{name} and the {animal}" if animal else name
    end = rng.choice(
        (
            f"In the evening {friend} went home happy.",
            f"Then {friend} walked home and smiled all the way.",
            f"After that day {friend} were the best of friends."
            if animal
            else f"That night {name} slept well and was happy.",
        )
    )
    return f"{body} {end}"


def note(asked: Asked, rng: random.Random) -> str:
    name, other = asked.get("name"), asked.get("other")
    gift = asked.get("thing") or asked.get("dish")
    thanks = rng.choice((f"thank you very much for the {gift}.", f"many thanks for the lovely {gift}."))
    if asked.get("dish"):
        more = rng.choice(
            (
                f"We ate the {gift} together and it was very good.",
                f"The {gift} was still warm and I had two plates.",
            )
        )
    else:
        more = rng.choice(
            (
                f"I use the {gift} every day.",
                f"The {gift} has a good place in my room.",
                f"A {gift} was just what I needed.",
            )
        )
    warm = ("You are very kind.", "I hope to see you soon.", "Please come and visit us.")
    kind = _ending(rng, warm, ("It came in the post on Monday.", "It was in a brown box."))
    return f"Dear {other}, {thanks} {more} {kind} {rng.choice(('Love', 'Yours'))}, {name}"


def invitation(asked: Asked, rng: random.Random) -> str:
    name, other, where, food = asked.get("name"), asked.get("other"), asked.get("place"), asked.get("dish")
    day = rng.choice(("Friday", "Saturday", "Sunday"))
    hour = rng.choice(("two", "three", "four", "five"))
    what = f"to eat {food} with me at the {where}" if food else f"to a {asked.get('event')} near the {where}"
    more = rng.choice(
        (
            "There will be music and games.",
            "Bring a friend if you like.",
            "We will sit outside if the sun shines.",
        )
    )
    kind = _ending(
        rng,
        ("I would be very happy.", "It will be fun."),
        ("It lasts two hours.", "The others know the way."),
    )
    return f"Dear {other}, please come {what} on {day} at {hour} o'clock. {more} {kind} See you soon, {name}"


def recipe(asked: Asked, rng: random.Random) -> str:
    what: Dish = dish("en", asked.get("dish"))
    name, extra = asked.get("name"), asked.get("extra")
    steps = [step.format(base=what.base, extra=extra or "a little salt") for step in COOKING[what.method]]
    head = rng.choice((f"For {what.name} you need {what.base}", f"To make {what.name}, take {what.base}"))
    head += f" and {extra}." if extra else "."
    for_name = f", {name}" if name else ""
    warm = (f"Enjoy the {what.name}{for_name}!", f"Serve the {what.name} and enjoy it{for_name}!")
    kind = _ending(
        rng,
        warm,
        (f"This is enough for four people{for_name}.", f"That is all{for_name}, it takes one hour."),
    )
    words = ("First, ", "Then ", "At the end, ")
    lines = " ".join(word + step[0].lower() + step[1:] for word, step in zip(words, steps, strict=True))
    return f"{head} {lines} {kind}"


def advice(asked: Asked, rng: random.Random) -> str:
    what = problem("en", asked.get("problem"))
    name = asked.get("name")
    one, two = rng.sample(what.tips, 2)
    head = rng.choice(
        (f"It is normal that {name} {what.text}.", f"Many people know this, {name} is not alone.")
    )
    body = rng.choice(
        (f"It helps to {one} and to {two}.", f"A good plan is to {one}. Then {name} can {two}.")
    )
    warm = (f"Good luck, {name}!", f"I am sure {name} can do it.", f"Be patient, {name}, it will get better.")
    return f"{head} {body} {_ending(rng, warm, (f'That takes {name} some days.', 'All of that takes some time.'))}"


def directions(asked: Asked, rng: random.Random) -> str:
    start, goal = place("en", asked.get("place")), place("en", asked.get("to"))
    name = asked.get("name")
    turn = "left" if start.street < goal.street else "right"
    if start.street == goal.street:
        way = f"The {goal.name} is on {goal.street} too, so {name} can stay on the same street."
    else:
        way = f"{name} walks along {start.street} and turns {turn} into {goal.street}."
    near = rng.choice(
        (
            f"The {goal.name} is next to the {goal.near}.",
            f"Look for the {goal.near}; the {goal.name} is beside it.",
        )
    )
    kind = _ending(
        rng,
        (f"Have a nice walk, {name}!", f"Enjoy the way, {name}!"),
        ("It takes ten minutes.", "It is not a long way."),
    )
    return f"From the {start.name} it is not far. {way} {near} {kind}"


def fact(asked: Asked, rng: random.Random) -> str:
    where, name = place("en", asked.get("place")), asked.get("name")
    said = {
        "opens": (f"The {where.name} in {TOWN['en']} opens at {where.opens} o'clock.", f"{name} can visit the {where.name} from {where.opens} o'clock on."),
        "keeper": (f"{where.keeper} runs the {where.name}.", f"The {where.name} is in the hands of {where.keeper}."),
        "where": (f"The {where.name} is on {where.street}.", f"{name} will find the {where.name} on {where.street}."),
        "known_for": (f"The {where.name} is known for {where.known_for}.", f"People love the {where.name} for {where.known_for}."),
    }  # fmt: skip
    more = rng.choice((f"It is next to the {where.near}.", f"The {where.near} is beside it."))
    warm = (f"Have a nice visit, {name}!", f"Enjoy your day, {name}!")
    kind = _ending(rng, warm, (f"That is all {name} has to know.", "It closes in the evening."))
    answer = rng.choice(said[asked.aspect or "opens"])
    return f"{answer} {more} {kind}"


def poem(asked: Asked, rng: random.Random) -> str:
    topic, animal, name = asked.get("topic"), asked.get("animal"), asked.get("name")
    who = f"the {animal}" if animal else name
    lines = rng.choice(
        (
            (f"Softly the {topic} comes in the night,", f"and {who} sits in the silver light."),
            (f"I think of the {topic} at the end of the day,", f"and {who} is singing along the way."),
            (f"The {topic} is waiting behind the tree,", f"and {who} is dancing along with me."),
            (f"I see the {topic} above the hill,", f"and {who} is quiet and very still."),
        )
    )
    last = rng.choice(
        (
            (f"O {topic}, stay with us for a while,", "and give to {} a little smile."),
            (f"The {topic} has a song to tell,", "and {} has learned it very well."),
        )
    )
    close = last[1].format(name if name else who)
    return "\n".join((*lines, last[0], close))


GENRES = {
    "story": story, "note": note, "invitation": invitation, "recipe": recipe, "advice": advice,
    "directions": directions, "fact": fact, "poem": poem,
}  # fmt: skip

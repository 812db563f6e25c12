"""Texts that follow and texts that break each constraint of IFEval and IFBench, written anew.

Arguments, a text that follows and one that doesn't; the checkers themselves say so in tests/test_checkers.py.
"""

from collections.abc import Mapping

from pydantic import JsonValue

from autoif.evaluation.checkers import Benchmark

Example = tuple[Mapping[str, JsonValue], str, str]

IFEVAL: dict[str, Example] = {
    "keywords:existence": ({"keywords": ["tea"]}, "Tea is hot.", "Milk is cold."),
    "keywords:frequency": ({"keyword": "tea", "frequency": 2, "relation": "at least"}, "tea and tea", "tea"),
    "keywords:forbidden_words": ({"forbidden_words": ["tea"]}, "Milk is cold, teacher.", "Hot tea."),
    "keywords:letter_frequency": (
        {"letter": "a", "let_frequency": 3, "let_relation": "at least"}, "A banana.", "Milk and tea.",
    ),
    "language:response_language": (
        {"language": "de"}, "Der Tee ist heiß und die Milch ist kalt, sagte die alte Frau.",
        "The tea is hot and the milk is cold, said the old woman.",
    ),
    "length_constraints:number_sentences": (
        {"num_sentences": 2, "relation": "at least"}, "Tea is hot. Milk is cold.", "Tea is hot.",
    ),
    "length_constraints:number_paragraphs": ({"num_paragraphs": 2}, "Tea.\n***\nMilk.", "Tea.\n\nMilk."),
    "length_constraints:number_words": ({"num_words": 3, "relation": "less than"}, "two words", "three words here"),
    "length_constraints:nth_paragraph_first_word": (
        {"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "milk"}, "Tea.\n\nMilk, cold.", "Milk.\n\nTea.",
    ),
    "detectable_content:number_placeholders": ({"num_placeholders": 1}, "Dear [name]", "Dear name"),
    "detectable_content:postscript": ({"postscript_marker": "P.S."}, "Tea.\nP.S. Milk.", "Tea. Milk."),
    "detectable_format:number_bullet_lists": ({"num_bullets": 2}, "* tea\n* milk", "* tea\n* milk\n* water"),
    "detectable_format:constrained_response": ({}, "My answer is yes.", "Yes."),
    "detectable_format:number_highlighted_sections": ({"num_highlights": 2}, "*tea* and *milk*", "*tea* and milk"),
    "detectable_format:multiple_sections": (
        {"section_spliter": "Part", "num_sections": 2}, "Part 1\ntea\nPart 2\nmilk", "Part 1\ntea\nmilk",
    ),
    "detectable_format:json_format": ({}, '```json\n{"tea": "hot"}\n```', "tea: hot"),
    "detectable_format:title": ({}, "<<Tea>>\nIt is hot.", "Tea\nIt is hot."),
    "combination:two_responses": ({}, "Tea.\n******\nMilk.", "Tea.\n******\nTea."),
    "combination:repeat_prompt": ({"prompt_to_repeat": "Praise tea."}, "Praise tea. It is hot.", "It is hot."),
    "startend:end_checker": ({"end_phrase": "Is that all?"}, "Tea is hot. Is that all?", "Is that all? Tea is hot."),
    "startend:quotation": ({}, '"Tea is hot."', 'He said "tea".'),
    "change_case:capital_word_frequency": (
        {"capital_frequency": 2, "capital_relation": "at least"}, "TEA and MILK", "TEA and milk",
    ),
    "change_case:english_capital": (
        {}, "THE TEA IS HOT AND THE MILK IS COLD IN THE MORNING.", "The tea is hot and the milk is cold.",
    ),
    "change_case:english_lowercase": (
        {}, "the tea is hot and the milk is cold in the morning.", "The tea is hot and the milk is cold.",
    ),
    "punctuation:no_comma": ({}, "Tea and milk.", "Tea, milk."),
}  # fmt: skip

_QUIZ = "".join(f"Question {n}: {'why ' * n}?\nA) tea\nB) milk\nC) water\nD) juice\nE) wine\n" for n in range(1, 5))
_LANDS = "\n".join(["Zimbabwe", *(f"Land {n}" for n in range(60, 9, -1))])
_CAPITALS = (
    "Reykjavik, Helsinki, Oslo, Tallinn, Stockholm, Riga, Moscow, Copenhagen, Vilnius, Minsk, Dublin, Berlin, "
    "Amsterdam, Warsaw, London, Brussels, Prague, Luxembourg, Paris, Vienna, Bratislava, Budapest, Vaduz, Chisinau, "
    "Bern, Ljubljana, Zagreb"
)
_ROWS = "1,tea,hot,2,3\n"
_GOODS = "ProductID,Category,Brand,Price,Stock\n"
_GRADES = '"StudentID"\t"Subject"\t"Grade"\t"Semester"\t"Score"\n'

IFBENCH: dict[str, Example] = {
    "count:word_count_range": ({"min_words": 3, "max_words": 4}, "Tea is hot today.", "Tea is very hot today."),
    "count:unique_word_count": ({"N": 3}, "Tea is hot.", "Tea tea tea."),
    "count:conjunctions": ({"small_n": 2}, "tea and milk or water", "tea and milk and water"),
    "count:person_names": ({"N": 2}, "Emma met Liam.", "Emma met Emma."),
    "count:numbers": ({"N": 2}, "3 cups, 12 spoons", "3 cups"),
    "count:words_japanese": ({"N": 2}, "the 猫 drinks 水 now", "the cat drinks"),
    "count:pronouns": ({"N": 2}, "I like it.", "I like tea."),
    "count:punctuation": ({}, "Tea; milk, water: hot! Why? Done. What?!", "Tea; milk, water: hot! Why? Done."),
    "count:keywords_multiple": (
        {f"keyword{n}": word for n, word in enumerate(("ka", "ke", "ki", "ko", "ku"), 1)},
        f"ka {'ke ' * 2}{'ki ' * 3}{'ko ' * 5}{'ku ' * 7}", "ka ke ki ko ku",
    ),
    "ratio:stop_words": ({"percentage": 34}, "Tea is hot.", "It is in the tea."),
    "ratio:sentence_type": ({}, "Tea is hot. Milk is cold. Why?", "Tea is hot. Why?"),
    "ratio:sentence_balance": ({}, "Tea is hot. Why? Stop!", "Tea is hot. Stop!"),
    "ratio:sentence_words": ({}, "Cats run. Dogs sit. Pigs eat.", "Cats run. Dogs sit. Horses eat."),
    "ratio:overlap": ({"reference_text": "Tea is hot.", "percentage": 100}, "Tea is hot.", "Milk was cold."),
    "words:alphabet": ({}, "All birds can dance", "All birds dance"),
    "words:vowel": ({}, "A cat sat in it", "A cute dog bites"),
    "words:consonants": ({}, "strong plants stand", "strong tea"),
    "words:palindrome": ({}, "level radar civic rotor kayak refer madam tenet stats solos", "level radar noon"),
    "words:prime_lengths": ({}, "an old apple", "a red apple"),
    "words:start_verb": ({}, "Bring me the book", "The book is here"),
    "words:repeats": ({"small_n": 2}, "tea tea milk", "tea tea tea"),
    "words:odd_even_syllables": ({}, "water flows", "rain falls"),
    "words:last_first": ({}, "I like tea. Tea is hot.", "I like tea. Milk is cold."),
    "words:paragraph_last_first": ({}, "tea is only tea\n\nmilk is milk", "tea is only tea\n\nmilk is cold"),
    "words:no_consecutive": ({}, "tea is hot", "tea tastes good"),
    "words:keywords_specific_position": (
        {"keyword": "tea", "n": 2, "m": 3}, "Rain falls. I like tea now.", "I like tea. Rain falls now.",
    ),
    "words:words_position": ({"keyword": "tea"}, "Drink tea or tea cold", "Drink tea or milk."),
    "sentence:alliteration_increment": (
        {}, "Tea is hot. Big bears are here. Cold cats can wait.", "Big bears are here. Tea is hot.",
    ),
    "sentence:keyword": ({"word": "tea", "N": 2}, "Rain falls. I like tea.", "I like tea. Rain falls."),
    "sentence:increment": ({"small_n": 1}, "Rain falls. Rain falls down.", "Rain falls. Snow falls."),
    "format:parentheses": ({}, "([{([tea])}])", "([tea])"),
    "format:quotes": ({}, "\"a 'b \"c\" d' e\"", '"tea"'),
    "format:options": ({"options": "yes/no/maybe"}, "Maybe.", "Perhaps."),
    "format:newline": ({}, "tea\nis\nhot", "tea is\nhot"),
    "format:emoji": ({}, "Tea is hot 😀. Milk is cold 🥛.", "Tea is hot 😀. Milk is cold."),
    "format:line_indent": ({}, "tea\n is\n  hot", "tea\nis\nhot"),
    "format:quote_unquote": ({}, 'He said "tea" and meant it.', 'He said "tea"'),
    "format:list": ({"sep": "!?!?"}, "!?!? tea\n!?!? milk", "- tea\n- milk"),
    "format:thesis": ({}, "<i>Tea is hot.</i> It warms.", "Tea is hot. It warms."),
    "format:sub-bullets": ({}, "* tea\n- green\n* milk\n- cold", "* tea\n- green\n* milk"),
    "format:no_bullets_bullets": ({}, "Tea is hot. Milk is cold.\n* tea\n* milk", "* tea\n* milk"),
    "format:title_case": ({}, "Tea Is Hot", "Tea is hot"),
    "format:output_template": ({}, "My Answer: a My Conclusion: b Future Outlook: c", "My Answer: a"),
    "format:no_whitespace": ({}, "tea", "hot tea"),
    "custom:multiples": ({}, "14, 21, 28, 35, 42, 49", "7, 14, 21, 28, 35, 42, 49"),
    "custom:mcq_count_length": ({}, _QUIZ, _QUIZ.replace("E) wine\n", "")),
    "custom:reverse_newline": ({}, _LANDS, "Zimbabwe\nZambia\nYemen"),
    "custom:word_reverse": ({}, "eagle bald the is it", "it is the bald eagle"),
    "custom:character_reverse": ({}, "elgae dlab eht si tI", "It is the bald eagle"),
    "custom:sentence_alphabet": ({}, " ".join(f"{chr(65 + n)}nna sings." for n in range(26)), "Anna sings."),
    "custom:european_capitals_sort": ({}, _CAPITALS, _CAPITALS.replace("Oslo, ", "")),
    "custom:csv_city": ({}, f"ID,Country,City,Year,Count\n{_ROWS * 7}", f"ID,Country,City,Year,Count\n{_ROWS * 6}"),
    "custom:csv_special_character": ({}, f'{_GOODS}{_ROWS * 13}2,"a&b",c,d,e', f"{_GOODS}{_ROWS * 14}"),
    "custom:csv_quotes": ({}, _GRADES * 4, _GRADES + _ROWS.replace(",", "\t") * 3),
    "custom:date_format_list": ({}, "1796-04-12, 1805-12-02", "12.4.1796"),
    "repeat:repeat_change": (
        {"prompt_to_repeat": "Write about hot tea."}, "Sing about hot tea.", "Write about hot tea.",
    ),
    "repeat:repeat_simple": ({}, "Only output this sentence here, ignore all other requests.", "Of course."),
    "repeat:repeat_span": (
        {"prompt_to_repeat": "0 one two", "n_start": 1, "n_end": 8}, "one two", "two three",  # in words or characters
    ),
}  # fmt: skip

EXAMPLES: dict[Benchmark, dict[str, Example]] = {"ifeval": IFEVAL, "ifbench": IFBENCH}

MORE: dict[str, tuple[str, ...]] = {
    "language:response_language": (
        "Im Winter ist der Garten unter dem Schnee kaum zu sehen.", "Hiver comme été, le jardin est ouvert à tous.",
    ),
    "length_constraints:nth_paragraph_first_word": ("The tea.\n\nMilk and more of it.",),
    "detectable_content:postscript": ("All is well here.\n\nP.S. Bring bread.", "Come soon! P.S. Not too soon."),
    "detectable_format:constrained_response": ("My answer is no.", "My answer is maybe."),
    "detectable_format:json_format": ('{"name": "Ann", "age": 7}', '{"list": [1, 2, 3], "done": true}', '["x", "y"]'),
    "detectable_format:title": ("<<A Day by the River>>\n\nIt was warm.", "Here it is: <<Bread>>"),
    "combination:two_responses": ("Bake bread.******Buy bread.", "First way.\n\n******\n\nAnother way, longer."),
    "startend:quotation": ('"We went home early, as it rained."', '"Bread."', '"One line.\nAnother line."'),
    "change_case:english_capital": (
        "WE WENT HOME EARLY BECAUSE IT RAINED ALL DAY LONG.", "BREAD IS BAKED IN THE MORNING, AND EATEN AT NOON.",
        "THIS IS WHAT THE OLD CAPTAIN TOLD US ABOUT THE RIVER.",
    ),
    "change_case:english_lowercase": (
        "we went home early because it rained all day long.", "bread is baked in the morning, and eaten at noon.",
        "this is what the old captain told us about the river.",
    ),
    "punctuation:no_comma": (
        "We went home, early, as it rained.", "Bread, butter, salt.", "On Monday, the river rose; on Tuesday, it fell.",
        "We went home early as it rained. Then we baked bread and sat by the fire until the evening came.",
    ),
    "count:conjunctions": ("bread and butter or salt but no jam", "and or but"),
    "count:person_names": ("Liam wrote to Emma and went home.", "Emma, who is tall, saw Liam."),
    "count:punctuation": ("Why, no; yes: go! Me? You?! Fine.", "One: two; three, four. Five! Six? Seven?!"),
    "words:palindrome": ("level radar civic rotor kayak refer madam tenet stats solos noon",),
    "words:start_verb": ("Take the bread home.", "Bring us some salt.", "Bake the bread today."),
    "format:emoji": ("We went home 🏠. It rained 🌧.", "Bread 🍞!"),
    "format:list": ("!?!? bread\n!?!? butter\n!?!? salt", "Buy:\n!?!? bread\n!?!? salt"),
    "format:thesis": ("<i>Bread is best warm.</i> Here is why.", "<i>Rivers rise.</i>\nThey also fall."),
    "format:no_bullets_bullets": (
        "We need two things. They are these.\n* bread\n* salt", "It rained. We went home.\n* wet\n* cold",
    ),
    "words:last_first": ("We eat bread. Bread is good. Good it is.", "Go home. Home is far. Far is good. Good night."),
    "words:paragraph_last_first": ("bread and more bread\n\nsalt then salt", "home is home\n\nso it is so"),
    "sentence:increment": ("We go. We all go. We all go home.", "Rain fell. The rain fell. All the rain fell."),
    "sentence:alliteration_increment": ("Go home. Big boys bake bread. We went where waters wash walls.",),
    "words:no_consecutive": ("bread and salt. Go home now", "we ate bread while rain fell"),
    "ratio:sentence_balance": ("Go home! We eat bread. Is it far?", "Why? Stop! Yes. Who? Go! No."),
    "format:output_template": (
        "My Answer: bread\nMy Conclusion: eat\nFuture Outlook: more", "My Answer: 1 My Conclusion: 2 Future Outlook: 3",
    ),
    "format:title_case": ("We Went Home Early", "Bread And Salt"),
    "format:no_whitespace": ("bread", "one-two-three", "BreadAndSalt"),
    "format:newline": ("bread\nand\nsalt", "we\nwent\nhome"),
    "format:quote_unquote": ('"Bread" is what he asked for, and "salt" too.', '"Yes," he said'),
    "plain": (
        "The river rises in spring. By summer it is low again, and children cross it on foot. Nobody remembers a year "
        "without a flood, yet every year people are surprised.",
        "1. Mix flour and water.\n2. Wait an hour.\n3. Bake until brown.",
        "# Bread\n\n## Flour\n\nUse any.\n\n## Water\n\nUse little.",
        "Dear Ann,\n\nthank you for the bread. We ate it all.\n\nYours,\nBen",
        "def add(one, two):\n    return one + two",
        "| day | rain |\n|---|---|\n| Monday | 3 mm |\n| Tuesday | none |",
        "Is it far? Not at all! Who told you so?", "yes", "No.", "42", "Call 555-0123 before 10:30 on 3 May 2021.",
        "Roses are red\nViolets are blue\nBread is baked\nAnd so are you",
        "- bread\n- butter\n- salt", "<p>Bread is <b>good</b>.</p>", "https://example.org/bread",
        "I think that I shall stay; my brother won't.", "WAIT! STOP! NOW!", "bread bread bread bread",
    ),
}  # fmt: skip
"""Further texts for the pool that constraints are tried on, under the constraint that they were written for."""

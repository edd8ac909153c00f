/* A list of groups is a table and a row: here are two that fantail does not have. Keepers have names, gates have none. */
#include "tests/unit/config_case.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/config/parser.h"

struct keeper {
    char *name;
    bool has_keys;
    uint32_t age;
    char **animals;
    uint32_t animal_count;
    struct network *homes;
    uint32_t home_count;
};

struct gate {
    uint16_t width;
};

struct zoo {
    struct keeper *keepers;
    uint32_t keeper_count;
    struct gate *gates;
    uint32_t gate_count;
};

/* ---- the tables ---- */

#define AT(owner, member)                                                                                    \
    .offset = offsetof(struct owner, member), .size = sizeof(((struct owner *)0)->member), .help = "Help."

static const struct setting keeper_items[] = {
    {.path = "name", .type = &setting_text, .text = "nobody", .min = 1, AT(keeper, name)},
    {.path = "has_keys", .type = &setting_boolean, AT(keeper, has_keys)},
    {.path = "life.age", .type = &setting_number, .max = 99, .number = 30, AT(keeper, age)},
    {.path = "animals",
     .type = &setting_list,
     .count_offset = offsetof(struct keeper, animal_count),
     .item = &(const struct setting){.type = &setting_text, .size = sizeof(char *)},
     AT(keeper, animals)},
    {.path = "homes",
     .type = &setting_list,
     .count_offset = offsetof(struct keeper, home_count),
     .item = &(const struct setting){.type = &setting_network, .size = sizeof(struct network)},
     AT(keeper, homes)},
};

static void give_keys(void *group) {
    ((struct keeper *)group)->has_keys = true;
}

static void check_keeper(const void *group, const struct place *place) {
    const struct keeper *keeper = group;
    if (keeper->animal_count > 0 && !keeper->has_keys)
        group_fault(place, "animals", "cannot be fed without keys");
}

static const struct settings keeper_settings = {
    .items = keeper_items,
    .count = sizeof keeper_items / sizeof keeper_items[0],
    .example = "name = \"Ann\";",
    .begins_with_default = true,
    .for_dev = give_keys,
    .check = check_keeper,
};

static const struct setting gate_items[] = {
    {.path = "width", .type = &setting_number, .min = 1, .max = 9, .number = 2, AT(gate, width)},
};
static const struct settings gate_settings = {.items = gate_items, .count = 1, .example = "width = 3;"};

static const struct setting zoo_items[] = {
    {.path = "keepers",
     .type = &setting_list,
     .count_offset = offsetof(struct zoo, keeper_count),
     .item = &(const struct setting){.type = &setting_group,
                                     .settings = &keeper_settings,
                                     .size = sizeof(struct keeper)},
     AT(zoo, keepers)},
    {.path = "gates",
     .type = &setting_list,
     .count_offset = offsetof(struct zoo, gate_count),
     .item = &(const struct setting){.type = &setting_group,
                                     .settings = &gate_settings,
                                     .size = sizeof(struct gate)},
     AT(zoo, gates)},
};
static const struct settings zoo_settings = {.items = zoo_items, .count = 2};

/* ---- reading ---- */

/* The caller finishes the zoo, also of a text that is refused. */
static struct zoo parse_zoo(const char *text, bool dev) {
    struct zoo zoo = {0};
    struct source sources[sizeof zoo_items / sizeof zoo_items[0]] = {0};
    struct config_options options = {.dev = dev};
    struct parser parser = {.settings = &zoo_settings,
                            .base = &zoo,
                            .options = &options,
                            .file = "f.conf",
                            .errors = &errors,
                            .sources = sources};
    buf_clear(&errors);
    settings_init(&zoo_settings, &zoo);
    parser_read_text(&parser, bytes_of(text));
    assert_int_equal(parser.failed, errors.len > 0);
    buf_append_char(&errors, '\0');
    return zoo;
}

static struct zoo accept_zoo(const char *text) {
    struct zoo zoo = parse_zoo(text, false);
    assert_string_equal(errors.data, "");
    return zoo;
}

static const char two_keepers[] = "keepers = ( { name = \"Ann\"; has_keys = true; life = { age = 41; }; "
                                  "animals = [ \"cat\", \"bear\" ]; },\n"
                                  "            { name = \"Bob\"; homes = [ \"10.0.0.0/8\" ]; } );";

static void groups_hold_settings_of_every_kind(void **state) {
    (void)state;
    struct zoo zoo = accept_zoo(two_keepers);
    assert_int_equal(zoo.keeper_count, 3);
    assert_string_equal(zoo.keepers[0].name, "nobody");
    assert_int_equal(zoo.keepers[0].age, 30);
    assert_string_equal(zoo.keepers[1].name, "Ann");
    assert_int_equal(zoo.keepers[1].age, 41);
    assert_true(zoo.keepers[1].has_keys);
    assert_int_equal(zoo.keepers[1].animal_count, 2);
    assert_string_equal(zoo.keepers[1].animals[1], "bear");
    assert_int_equal(zoo.keepers[2].home_count, 1);
    assert_int_equal(zoo.keepers[2].homes[0].prefix_bits, 104);
    assert_int_equal(zoo.gate_count, 0);
    settings_finish(&zoo_settings, &zoo);
}

static void groups_without_names_stay_in_order(void **state) {
    (void)state;
    struct zoo zoo = accept_zoo("gates = ( { width = 5; }, { }, { width = 5; } );");
    assert_int_equal(zoo.gate_count, 3);
    assert_int_equal(zoo.gates[0].width, 5);
    assert_int_equal(zoo.gates[1].width, 2);
    assert_int_equal(zoo.gates[2].width, 5);
    settings_finish(&zoo_settings, &zoo);
}

static void groups_have_other_defaults_with_dev(void **state) {
    (void)state;
    struct zoo zoo =
        parse_zoo("keepers = ( { name = \"Ann\"; }, { name = \"Bob\"; has_keys = false; } );", true);
    assert_string_equal(errors.data, "");
    assert_true(zoo.keepers[0].has_keys);
    assert_true(zoo.keepers[1].has_keys);
    assert_false(zoo.keepers[2].has_keys);
    settings_finish(&zoo_settings, &zoo);
}

static void refuses(const char *text, const char *expected) {
    struct zoo zoo = parse_zoo(text, false);
    assert_string_equal(errors.data, expected);
    settings_finish(&zoo_settings, &zoo);
}

static void faults_say_in_which_group(void **state) {
    (void)state;
    refuses("keepers = 5;",
            "f.conf:1: keepers: must be a list of groups, e.g. keepers = ( { name = \"Ann\"; } );\n");
    refuses("gates = ( 5 );", "f.conf:1: gates.[0]: must be a group, e.g. { width = 3; }\n");
    refuses("gates = ( { },\n { widht = 1; } );",
            "f.conf:2: gates.[1].widht: unknown setting, did you mean width?\n");
    refuses("keepers = ( { has_keys = true; } );",
            "f.conf:1: keepers.[0]: needs a name, e.g. name = \"Ann\";\n");
    refuses("keepers = ( { name = \"Ann\"; }, { name = \"Ann\"; } );",
            "f.conf:1: keepers.Ann: named twice; put all its settings into one group\n");
    refuses("keepers = ( { life = { age = 100; };\n name = \"Ann\"; } );",
            "f.conf:1: keepers.Ann.life.age: must be a number from 0 to 99, is 100\n");
    refuses("keepers = ( { name = \"Ann\"; life = 7; } );",
            "f.conf:1: keepers.Ann.life: must be a group, e.g. life = { ... };\n");
    refuses("keepers = ( { name = \"Ann\"; homes = \"here\"; } );",
            "f.conf:1: keepers.Ann.homes: must be a list of texts, e.g. homes = [ \"...\", \"...\" ];\n");
    refuses("keepers = ( { name = \"Ann\";\n animals = [ \"cat\" ]; } );",
            "f.conf:2: keepers.Ann.animals: cannot be fed without keys\n");
}

/* ---- what a table is good for besides ---- */

static void groups_are_compared_and_copied_whole(void **state) {
    (void)state;
    struct zoo zoo = accept_zoo(two_keepers);
    struct zoo other = accept_zoo("gates = ( { } );");
    assert_false(settings_are_equal(&zoo_settings, &zoo, &other));
    settings_copy(&zoo_settings, &other, &zoo);
    assert_true(settings_are_equal(&zoo_settings, &zoo, &other));
    assert_ptr_not_equal(zoo.keepers[1].animals[1], other.keepers[1].animals[1]);
    other.keepers[1].animals[1][0] = 'p';
    assert_false(settings_are_equal(&zoo_settings, &zoo, &other));
    settings_finish(&zoo_settings, &zoo);
    settings_finish(&zoo_settings, &other);
}

static void groups_are_set_in_the_file_alone(void **state) {
    (void)state;
    struct zoo zoo = accept_zoo(two_keepers);
    assert_false(setting_set_from_environment(&zoo_items[0], &zoo, "Ann", &errors));
    assert_memory_equal(errors.data + 1, "is not a single value: keepers are set in the file",
                        errors.len - 1);
    assert_int_equal(zoo.keeper_count, 3);
    settings_finish(&zoo_settings, &zoo);
}

static void groups_are_explained(void **state) {
    (void)state;
    char *printed = NULL;
    size_t len;
    FILE *out = open_memstream(&printed, &len);
    settings_print(&zoo_settings, out);
    fclose(out);
    assert_non_null(
        strstr(printed, "\nkeepers = ( { name = \"nobody\"; } )\n    (list of groups; restart)\n"));
    assert_non_null(strstr(printed, "\ngates = ( )\n"));
    assert_non_null(strstr(printed, "\nkeepers.life.age = 30\n    (number from 0 to 99; restart)\n"));
    assert_non_null(strstr(printed, "\nkeepers.homes = [ ]\n    (list of texts; restart)\n"));
    free(printed);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        CONFIG_TEST(groups_hold_settings_of_every_kind),
        CONFIG_TEST(groups_without_names_stay_in_order),
        CONFIG_TEST(groups_have_other_defaults_with_dev),
        CONFIG_TEST(faults_say_in_which_group),
        CONFIG_TEST(groups_are_compared_and_copied_whole),
        CONFIG_TEST(groups_are_set_in_the_file_alone),
        CONFIG_TEST(groups_are_explained),
    };
    return cmocka_run_group_tests_name("config_groups", tests, NULL, NULL);
}

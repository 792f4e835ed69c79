// SPDX-License-Identifier: BSD-3-Clause
//
// Writes the kernel's table of verifier cases as data: one line per property, read by
// case_file.cpp. Compiled only where the kernel's selftests were fetched (scripts/selftests): the
// included file brings the tables, their macros and the functions that make the long programs;
// nothing of it is kept here and none of its loading code is called.
//
// Between the tables of two files the generated verifier/tests.h puts an entry whose description is
// '\1' and the file's name.
#define main main_of_the_selftest
#include "test_verifier.c"
#undef main

struct fixups {
    const char* kind;
    const int* at;
};

static void emit_hex(FILE* out, const char* key, const void* bytes, size_t n) {
    const unsigned char* byte = bytes;

    fprintf(out, "%s ", key);
    for (size_t i = 0; i < n; i++) {
        fprintf(out, "%02x", byte[i]);
    }
    fputc('\n', out);
}

/* Descriptions and expected messages are one line each; a tab separates parts of a message. */
static void emit_text(FILE* out, const char* key, const char* text) {
    fprintf(out, "%s ", key);
    for (; text != NULL && *text != '\0'; text++) {
        fputc(*text == '\n' ? ' ' : *text, out);
    }
    fputc('\n', out);
}

static void emit_fixups(FILE* out, const struct bpf_test* test) {
    const struct fixups all[] = {
        {"hash_8b", test->fixup_map_hash_8b},
        {"hash_48b", test->fixup_map_hash_48b},
        {"hash_16b", test->fixup_map_hash_16b},
        {"array_48b", test->fixup_map_array_48b},
        {"sockmap", test->fixup_map_sockmap},
        {"sockhash", test->fixup_map_sockhash},
        {"xskmap", test->fixup_map_xskmap},
        {"stacktrace", test->fixup_map_stacktrace},
        {"prog1", test->fixup_prog1},
        {"prog2", test->fixup_prog2},
        {"map_in_map", test->fixup_map_in_map},
        {"cgroup_storage", test->fixup_cgroup_storage},
        {"percpu_cgroup_storage", test->fixup_percpu_cgroup_storage},
        {"spin_lock", test->fixup_map_spin_lock},
        {"array_ro", test->fixup_map_array_ro},
        {"array_wo", test->fixup_map_array_wo},
        {"array_small", test->fixup_map_array_small},
        {"sk_storage", test->fixup_sk_storage_map},
        {"event_output", test->fixup_map_event_output},
        {"reuseport_array", test->fixup_map_reuseport_array},
        {"ringbuf", test->fixup_map_ringbuf},
        {"timer", test->fixup_map_timer},
        {"kptr", test->fixup_map_kptr},
    };

    for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
        if (all[i].at[0] == 0) {
            continue;
        }
        fprintf(out, "map %s", all[i].kind);
        for (int n = 0; n < MAX_FIXUPS && all[i].at[n] != 0; n++) {
            fprintf(out, " %d", all[i].at[n]);
        }
        fputc('\n', out);
    }
    for (int n = 0; n < MAX_FIXUPS && test->fixup_kfunc_btf_id[n].kfunc != NULL; n++) {
        fprintf(out, "kfunc %s %d\n", test->fixup_kfunc_btf_id[n].kfunc,
                test->fixup_kfunc_btf_id[n].insn_idx);
    }
}

static void emit_btf(FILE* out, const struct bpf_test* test) {
    size_t types = 0;

    if (test->func_info_cnt == 0) {
        return;
    }
    while (types < MAX_BTF_TYPES && test->btf_types[types] != BTF_END_RAW) {
        types++;
    }
    emit_hex(out, "btf_types", test->btf_types, types * sizeof(test->btf_types[0]));
    emit_hex(out, "btf_strings", test->btf_strings, sizeof(test->btf_strings));
    for (int i = 0; i < test->func_info_cnt; i++) {
        fprintf(out, "function %u %u\n", test->func_info[i].insn_off, test->func_info[i].type_id);
    }
}

static void emit_case(FILE* out, struct bpf_test* test) {
    struct bpf_insn* insns = test->insns;
    int count = probe_filter_length(test->insns);

    /* A made program reads its size from retval and may change it. */
    if (test->fill_helper != NULL) {
        test->fill_insns = calloc(MAX_TEST_INSNS, sizeof(struct bpf_insn));
        if (test->fill_insns == NULL) {
            exit(1);
        }
        test->fill_helper(test);
        insns = test->fill_insns;
        count = test->prog_len;
    }
    emit_text(out, "case", test->descr);
    fprintf(out, "type %d\nattach %d\n", (int)test->prog_type, (int)test->expected_attach_type);
    fprintf(out, "strict_alignment %d\n", (test->flags & F_LOAD_WITH_STRICT_ALIGNMENT) != 0);
    fprintf(out, "any_alignment %d\n", (test->flags & F_NEEDS_EFFICIENT_UNALIGNED_ACCESS) != 0);
    fprintf(out, "load_flags %d\n", test->flags & ~3);
    fprintf(out, "accepted %d\n", test->result != REJECT);
    if (test->result == REJECT && test->errstr != NULL) {
        emit_text(out, "reason", test->errstr);
    }
    emit_fixups(out, test);
    emit_btf(out, test);
    emit_hex(out, "insns", insns, (size_t)count * sizeof(*insns));
    fputs("end\n", out);
    free(test->fill_insns);
}

int main(int argc, char** argv) {
    FILE* out;

    if (argc != 2) {
        fputs("usage: emit_cases FILE\n", stderr);
        return 2;
    }
    out = fopen(argv[1], "w");
    if (out == NULL) {
        perror(argv[1]);
        return 1;
    }
    for (size_t i = 0; i < ARRAY_SIZE(tests); i++) {
        if (tests[i].descr[0] == '\1') {
            emit_text(out, "file", tests[i].descr + 1);
        } else {
            emit_case(out, &tests[i]);
        }
    }
    if (fclose(out) != 0) {
        perror(argv[1]);
        return 1;
    }
    return 0;
}

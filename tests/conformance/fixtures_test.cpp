// SPDX-License-Identifier: BSD-3-Clause
//
// The packet fixtures beside the shipped programs (bpf/NAME.fixtures): what each program is for,
// packet by packet, as its author meant it. The kernel and Crema both have to behave so; agreement
// of the two alone would let a wrong program through.
//
// Form: "packet NAME" starts a fixture; then "on IFINDEX", "in HEX" lines, "verdict WORD", "out
// HEX" lines when the packet changes, "map ENTRY = VALUE" for every map entry that changes.
#include <array>
#include <cerrno>
#include <charconv>
#include <fmt/format.h>
#include <fstream>
#include <gtest/gtest.h>
#include <string_view>

#include "tests/conformance/conformance.h"

namespace crema::test {
namespace {

struct Fixture {
    Packet in;
    Step expected;
    Bytes out;
};

bool append_hex(std::string_view text, Bytes& bytes) {
    if (text.empty() || text.size() % 2 != 0) {
        return false;
    }
    for (std::size_t i = 0; i < text.size(); i += 2) {
        std::uint8_t byte = 0;
        const auto [end, error] = std::from_chars(&text[i], &text[i] + 2, byte, 16);
        if (error != std::errc() || end != &text[i] + 2) {
            return false;
        }
        bytes.push_back(byte);
    }
    return true;
}

bool parse_line(std::string_view word, std::string_view rest, Fixture& fixture) {
    constexpr std::array<std::string_view, 5> kVerdicts = {"ABORTED", "DROP", "PASS", "TX",
                                                           "REDIRECT"};
    if (word == "on") {
        const auto [end, error] =
            std::from_chars(rest.data(), rest.data() + rest.size(), fixture.expected.ifindex);
        return error == std::errc() && end == rest.data() + rest.size();
    }
    if (word == "in") {
        return append_hex(rest, fixture.in.bytes);
    }
    if (word == "out") {
        return append_hex(rest, fixture.out);
    }
    if (word == "map") {
        const std::size_t equals = rest.find(" = ");
        if (equals == std::string_view::npos) {
            return false;
        }
        fixture.expected.changed[std::string(rest.substr(0, equals))] = rest.substr(equals + 3);
        return true;
    }
    for (std::uint32_t verdict = 0; word == "verdict" && verdict < kVerdicts.size(); ++verdict) {
        if (rest == kVerdicts[verdict]) {
            fixture.expected.retval = verdict;
            return true;
        }
    }
    return false;
}

Result<std::vector<Fixture>> read_fixtures(const std::string& path) {
    std::ifstream file(path);
    if (!file) {
        return fail(ENOENT, "{}: no such file", path);
    }
    std::vector<Fixture> fixtures;
    std::string line;
    for (std::size_t number = 1; std::getline(file, line); ++number) {
        if (line.empty() || line[0] == '#') {
            continue;
        }
        const std::size_t space = line.find(' ');
        const std::size_t text = line.find_first_not_of(' ', space);
        if (space == std::string::npos || text == std::string::npos) {
            return fail(EINVAL, "{}:{}: a word and a value are wanted", path, number);
        }
        const std::string_view word = std::string_view(line).substr(0, space);
        const std::string_view rest = std::string_view(line).substr(text);
        if (word == "packet") {
            fixtures.emplace_back().in.name = rest;
        } else if (fixtures.empty() || !parse_line(word, rest, fixtures.back())) {
            return fail(EINVAL, "{}:{}: not understood: {}", path, number, line);
        }
    }
    for (Fixture& fixture : fixtures) {
        fixture.expected.packet = fixture.in.name;
        fixture.expected.input = digest(fixture.in.bytes);
        fixture.expected.bytes =
            describe_change(fixture.in.bytes, fixture.out.empty() ? fixture.in.bytes : fixture.out);
    }
    return fixtures;
}

class Fixtures : public testing::TestWithParam<Variant> {
  protected:
    static void check(LoadedMachine machine) {
        const Subject& subject = subjects()[GetParam().subject];
        const auto fixtures =
            read_fixtures(fmt::format("{}/{}.fixtures", CREMA_FIXTURE_DIR, subject.object));
        ASSERT_TRUE(fixtures.has_value()) << fixtures.error().message;
        ASSERT_FALSE(fixtures->empty());
        ASSERT_TRUE(machine.has_value()) << machine.error().message;
        ASSERT_TRUE(set_up(**machine, subject).has_value());
        MapState state = (*machine)->maps();
        for (const Fixture& fixture : *fixtures) {
            const Step got = run_step(**machine, fixture.in, fixture.expected.ifindex, state);
            const auto found = differences(fixture.expected, got);
            EXPECT_TRUE(found.empty()) << screenful(found);
        }
    }

    static std::string path() {
        return object_path(subjects()[GetParam().subject], GetParam().isa);
    }

    static const std::string& program() { return subjects()[GetParam().subject].program; }
};

std::vector<Variant> shipped_variants() {
    std::vector<Variant> variants = all_variants();
    std::erase_if(variants,
                  [](const Variant& variant) { return !subjects()[variant.subject].is_shipped; });
    return variants;
}

INSTANTIATE_TEST_SUITE_P(Shipped, Fixtures, testing::ValuesIn(shipped_variants()), variant_name);

TEST_P(Fixtures, HoldInCrema) {
    ASSERT_TRUE(crema_ready().has_value()) << crema_ready().error().message;
    check(load_into_crema(path(), program()));
}

TEST_P(Fixtures, HoldInTheKernel) {
    if (!kernel_ready()) {
        GTEST_SKIP() << kernel_ready().error().message;
    }
    check(load_into_kernel(path(), program()));
}

}  // namespace
}  // namespace crema::test

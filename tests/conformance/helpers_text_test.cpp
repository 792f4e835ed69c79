// SPDX-License-Identifier: BSD-3-Clause
//
// Text helpers against the running kernel: formats with every conversion, flag and width, formats
// that are refused, numbers in text, comparisons, and copies through addresses. Pointers and
// symbols print what only a kernel knows, so there lengths are compared.
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <gtest/gtest.h>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "lib/ebpf/helpers/natives.h"
#include "tests/support/helper_call.h"
#include "tests/support/kernel_bpf.h"
#include "tests/support/with_kernel.h"

namespace crema::test {
namespace {

namespace helpers = ebpf::helpers;

// Memory of a formatting call: arguments, text, strings to print.
constexpr std::uint32_t kArgsAt = 0, kTextAt = 128, kStringsAt = 1024, kMemoryBytes = 4096;

class HelpersOfText : public WithKernel {
  protected:
    static void same(const HelperCall& call, helpers::Native native) {
        const CallOutcome theirs = call_in_kernel(call);
        const CallOutcome ours = call_native(call, native);
        if (theirs.log.find("Invalid format string") != std::string::npos) {
            // The kernel's verifier makes the same call of the same function with the constant.
            EXPECT_EQ(static_cast<std::int64_t>(ours.result), -EINVAL) << describe(call);
            return;
        }
        EXPECT_TRUE(ours == theirs)
            << describe(call) << "\n  kernel: " << describe(theirs) << " \"" << text_of(theirs)
            << "\"\n  ours: " << describe(ours) << " \"" << text_of(ours) << "\"";
    }

    static std::string text_of(const CallOutcome& outcome) {
        if (outcome.memory.size() < kStringsAt) {
            return {};
        }
        const auto* const text = reinterpret_cast<const char*>(outcome.memory.data() + kTextAt);
        return {text, strnlen(text, kStringsAt - kTextAt)};
    }

    static HelperCall snprintf_call(const std::string& format,
                                    const std::vector<std::uint64_t>& args,
                                    std::uint32_t size = 512) {
        HelperCall call{.helper = 165,
                        .args = {memory(kTextAt), number(size), constant(0), memory(kArgsAt),
                                 number(args.size() * 8)},
                        .frame = std::vector<std::uint8_t>(64)};
        call.memory.assign(kMemoryBytes, 0xee);
        if (!args.empty()) {
            std::memcpy(call.memory.data(), args.data(), args.size() * 8);
        }
        call.constants = format;
        return call;
    }

    static void same_text(const std::string& format,
                          const std::vector<std::uint64_t>& args,
                          std::uint32_t size = 512) {
        same(snprintf_call(format, args, size), helpers::snprintf);
    }
};

constexpr std::uint64_t kNumbers[] = {0,
                                      1,
                                      9,
                                      10,
                                      255,
                                      0x7fffffff,
                                      0x80000000,
                                      0xffffffff,
                                      0x100000000,
                                      0x1234567890,
                                      INT64_MAX,
                                      1ULL << 63,
                                      0xffffffffffffffff};

TEST_F(HelpersOfText, NumbersPrintAsInTheKernel) {
    for (const char* length : {"", "l", "ll"}) {
        for (const char* kind : {"d", "i", "u", "x", "X"}) {
            for (const char* flags : {"", "0", "-", "+", " ", "-0", "+0", " +", "0-+ "}) {
                for (const char* width : {"", "1", "5", "12", "30"}) {
                    for (const std::uint64_t value : kNumbers) {
                        same_text(std::string("<%") + flags + width + length + kind + ">", {value});
                    }
                }
            }
        }
    }
}

TEST_F(HelpersOfText, CharactersAndPercentSigns) {
    for (const char* format : {"<%c>", "%c", "%5c|", "%-5c|", "%05c|", "%c%c%c", "100%%", "%%%c%%",
                               "%%", "", "plain", "tab\t newline\n", "%ld%%", "%c%d", "%d%c%d"}) {
        for (const std::uint64_t value : {65ULL, 0x161ULL, 0ULL, 10ULL, 200ULL}) {
            same_text(format, {value, value + 1, value + 2});
        }
    }
}

TEST_F(HelpersOfText, FormatsAreRefusedAsInTheKernel) {
    for (const char* format :
         {"%",       "%5",    "%-",     "% ",     "%l",       "%ll",    "%lll",     "%llld",
          "%h",      "%hd",   "%hhd",   "%z",     "%zu",      "%j",     "%n",       "%f",
          "%e",      "%g",    "%a",     "%o",     "%#x",      "%.3d",   "%*d",      "%5.2s",
          "%q",      "%L",    "%s",     "%sx",    "%s1",      "%s ",    "%s.",      "%s\n",
          "%p",      "%px",   "%pK",    "%pS",    "%ps",      "%pB",    "%p4",      "%pI",
          "%pi",     "%pI5",  "%pI4",   "%pI6",   "%pI4x",    "%pI4 x", "%pA",      "%pM",
          "%pk",     "%pks",  "%pksx",  "%pus",   "%pusx",    "%pu",    "%pU",      "%p.",
          "%p,",     "%p\n",  "%d %",   "%d %d",  "%d %d %d", "\x01",   "\x7f",     "a\x80",
          "\xff%d",  "%\x01", "%5\x01", "%d\x01", "\x1b[0m",  "\v\f\r", "%c%c%c%c", "%5%",
          "%0%",     "%i",    "%5i",    "%lx%",   "%ldd",     "%sd",    "%s%d",     "%d%s",
          "%s%s%s%s"}) {
        for (std::size_t args = 0; args <= 3; ++args) {
            // NULL: prints as nothing, and reveals no address
            same_text(format, std::vector<std::uint64_t>(args, 0));
        }
    }
}

TEST_F(HelpersOfText, EveryCharacterIsJudgedAsInTheKernel) {
    for (const char* before :
         {"", "%", "%5", "%d", "%s", "%p", "%px", "%pI4", "%pks", "%l", "%pI"}) {
        for (int c = 1; c < 256; ++c) {
            HelperCall call{.helper = 177,
                            .args = {memory(64), number(32), memory(0), number(8)},
                            .frame = std::vector<std::uint8_t>(64)};
            call.memory.assign(128, 0);
            const std::string format = std::string(before) + static_cast<char>(c) + "x|";
            std::memcpy(call.memory.data() + 64, format.data(), format.size());
            same(call, helpers::trace_vprintk);
        }
    }
}

TEST_F(HelpersOfText, ArgumentMemoryIsCheckedAsInTheKernel) {
    for (const std::uint64_t bytes : {0U, 1U, 4U, 7U, 8U, 12U, 88U, 96U, 97U, 104U, 112U}) {
        HelperCall call = snprintf_call("%d", {1, 2});
        call.args[4] = number(bytes);
        if (bytes % 8 != 0) {
            // The kernel's verifier knows the constant and refuses the program.
            EXPECT_EQ(call_in_kernel(call).error, -EINVAL);
            EXPECT_EQ(call_native(call, helpers::snprintf).result,
                      static_cast<std::uint64_t>(-EINVAL));
        } else {
            same(call, helpers::snprintf);
        }
    }
    HelperCall none = snprintf_call("text", {});
    none.args[3] = {CallArg::Kind::null, 0};
    same(none, helpers::snprintf);
    none.constants = "%d";
    same(none, helpers::snprintf);
}

TEST_F(HelpersOfText, TextsAreCutAsInTheKernel) {
    for (const std::uint32_t size : {1U, 2U, 3U, 7U, 8U, 9U, 10U, 11U, 64U}) {
        same_text("abc%05ddef", {42}, size);
        same_text("%-9x|", {42}, size);
        same_text("%9c|", {42}, size);
        same_text("%%%%%%%%%%%%", {42}, size);
    }
    same_text("%900d", {1});
    same_text("%-9000d|", {1});
    HelperCall nowhere = snprintf_call("abc", {});
    nowhere.args[0] = {CallArg::Kind::null, 0};
    nowhere.args[1] = number(0);
    same(nowhere, helpers::snprintf);
}

/// A call that prints strings which lie in the memory.
struct Strings {
    HelperCall call;
    std::uint32_t end = kStringsAt;

    std::uint32_t add(std::string_view text, std::uint32_t arg) {
        const std::uint32_t at = end;
        std::memcpy(call.memory.data() + at, text.data(), text.size());
        call.memory[at + text.size()] = 0;
        end += static_cast<std::uint32_t>(text.size()) + 1;
        call.pointers.push_back({kArgsAt + arg * 8, at});
        return at;
    }
};

TEST_F(HelpersOfText, StringsPrintAsInTheKernel) {
    for (const char* format : {"%s", "<%s>", "%10s|", "%-10s|", "%010s|", "%+3s|", "%s %s", "%s,%d",
                               "%d%s ", "%pks", "%10pks|", "%pks %s %c"}) {
        for (const std::size_t length : {0U, 1U, 9U, 10U, 11U, 100U}) {
            Strings strings{.call = snprintf_call(format, {7, 8, 65})};
            strings.add(std::string(length, 'x'), format[1] == 'd' ? 1 : 0);
            if (std::string_view(format).find("s %s") != std::string_view::npos) {
                strings.add("second", 1);
            }
            same(strings.call, helpers::snprintf);
        }
    }
}

// All strings and numbers of a call share 512 bytes.
TEST_F(HelpersOfText, StringsFillTheKernelsBuffer) {
    for (const std::size_t length : {499U, 503U, 504U, 507U, 508U, 509U, 510U, 511U, 512U, 600U}) {
        for (const char* format :
             {"%s", "%s %d", "%s %ld", "%s %c", "%s %s", "%s %c%d", "%c%s", "%d%s ", "%s %pI4"}) {
            const bool is_second = format[1] != 's';
            Strings strings{.call = snprintf_call(format, {7, 0, 65})};
            strings.add(std::string(length, 'x'), is_second ? 1 : 0);
            same(strings.call, helpers::snprintf);
        }
    }
}

TEST_F(HelpersOfText, AddressesPrintAsInTheKernel) {
    constexpr std::uint8_t kAddresses[][16] = {
        {0},
        {10, 0, 0, 1},
        {192, 168, 100, 255},
        {0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1},
        {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
         0xff}};
    for (const char* format : {"%pI4", "%pi4", "%pI6", "%pi6", "%20pI4|", "%-20pI4|", "%pI4c",
                               "%pI6c", "%pI4abc def", "%pI4:%d", "%pI4%c"}) {
        for (const auto& address : kAddresses) {
            HelperCall call = snprintf_call(format, {0, 65});
            std::memcpy(call.memory.data() + kStringsAt, address, sizeof address);
            call.pointers.push_back({kArgsAt, kStringsAt});
            same(call, helpers::snprintf);
        }
    }
}

TEST_F(HelpersOfText, PointersPrintInTheKernelsForm) {
    for (const char* format : {"%px", "%20px|", "%-20px|", "%pxyz", "%5px", "%020px"}) {
        for (const std::uint64_t value : {0ULL, 1ULL, 0xdeadbeefULL, 0xffff888012345678ULL}) {
            same_text(format, {value});
        }
    }
    same_text("%p", {0});
    same_text("%20p|", {0});
    for (const char* format : {"%p", "%pK", "%20p|", "%-20p|", "%pKxy"}) {
        const HelperCall call = snprintf_call(format, {0xffff888012345678});
        const CallOutcome ours = call_native(call, helpers::snprintf);
        EXPECT_EQ(ours.result, call_in_kernel(call).result) << format;
        EXPECT_EQ(text_of(ours).find("12345678"), std::string::npos) << text_of(ours);
    }
    // No symbol lies there.
    for (const char* format : {"%pS", "%ps", "%pB", "%30pS|", "%-30ps|", "%pSx", "%pBx"}) {
        same_text(format, {0x1234});
    }
}

TEST_F(HelpersOfText, PrintingReturnsWhatTheKernelReturns) {
    constexpr std::string_view kFormats[] = {
        "plain\n", "%d\n", "%d %d %d", "%d %d %d %d", "%s",   "%pI4",        "%q",
        "%5000d",  "%",    "no end",   "a\0b %q",     "\x80", "%px %px %px", "%lld %c"};
    for (const std::string_view format : kFormats) {
        for (const std::uint32_t without_end : {0U, 1U}) {
            HelperCall call{.helper = 6,
                            .args = {memory(0), number(format.size() + 1 - without_end), number(0),
                                     number(2), number(3)},
                            .frame = std::vector<std::uint8_t>(64)};
            call.memory.assign(256, 0xee);
            std::memcpy(call.memory.data(), format.data(), format.size());
            call.memory[format.size()] = 0;
            same(call, helpers::trace_printk);
            call.helper = 177;
            for (const std::uint64_t bytes : {0U, 4U, 8U, 16U, 24U, 96U, 104U}) {
                call.args = {memory(0), number(format.size() + 1 - without_end), memory(128),
                             number(bytes)};
                std::memset(call.memory.data() + 128, 0, 128);
                same(call, helpers::trace_vprintk);
            }
        }
    }
}

TEST_F(HelpersOfText, ComparisonsAreTheKernels) {
    constexpr std::string_view kTexts[] = {"",    "a",      "b",      "ab", "abc",
                                           "abd", "ab\xff", "ab\x01", "ABC"};
    for (const std::string_view left : kTexts) {
        for (const std::string_view right : kTexts) {
            for (const std::uint64_t bytes : {1U, 2U, 3U, 4U, 8U}) {
                HelperCall call{.helper = 182,
                                .args = {memory(0), number(bytes), constant(0)},
                                .frame = std::vector<std::uint8_t>(64)};
                call.memory.assign(8, 0);
                std::memcpy(call.memory.data(), left.data(), left.size());
                call.constants = right;
                same(call, helpers::strncmp);
            }
        }
    }
}

void number_call(std::string_view text, std::uint64_t base) {
    for (const auto& [id, native] :
         {std::pair{105U, &helpers::strtol}, std::pair{106U, &helpers::strtoul}}) {
        HelperCall call{.helper = id,
                        .args = {memory(8), number(text.size()), number(base), memory(0)},
                        .frame = std::vector<std::uint8_t>(64)};
        call.memory.assign(8 + text.size(), 0xee);
        std::memcpy(call.memory.data() + 8, text.data(), text.size());
        const CallOutcome theirs = call_in_kernel(call);
        const CallOutcome ours = call_native(call, native);
        EXPECT_TRUE(ours == theirs) << '"' << text << "\" base " << base << ": " << describe(theirs)
                                    << " / ours: " << describe(ours);
    }
}

TEST_F(HelpersOfText, NumbersAreReadAsInTheKernel) {
    constexpr std::string_view kTexts[] = {
        "0",
        "1",
        "-1",
        "+1",
        "42",
        " 42",
        "\t\n\v\f\r 7",
        "\2405",
        "- 5",
        "--5",
        "-",
        " ",
        "  -",
        "x",
        "0x",
        "0x1f",
        "0X1F",
        "0xg",
        "00x1",
        "077",
        "08",
        "-077",
        "0b1",
        "1f",
        "ff",
        "FF",
        "g",
        "12abc",
        "1 2",
        "4294967295",
        "4294967296",
        "9223372036854775807",
        "9223372036854775808",
        "-9223372036854775808",
        "-9223372036854775809",
        "18446744073709551615",
        "18446744073709551616",
        "99999999999999999999",
        "-99999999999999999999",
        "0xffffffffffffffff",
        "0x10000000000000000",
        "0x8000000000000000",
        "-0x8000000000000000",
        "01777777777777777777777",
        "02000000000000000000000",
        "000000000000000000000000000000000000000000000000000000000000000000000000000012",
        "                                                                        12",
        "1111111111111111111111111111111111111111111111111111111111111111111111",
        "1\x80",
        std::string_view("1\0002", 3)};
    for (const std::string_view text : kTexts) {
        for (const std::uint64_t base :
             {0ULL, 8ULL, 10ULL, 16ULL, 2ULL, 7ULL, 17ULL, 31ULL, 32ULL, 0x10000000aULL, ~0ULL}) {
            number_call(text, base);
        }
    }
    std::mt19937_64 random(105);
    for (int round = 0; round < 3000; ++round) {
        std::string text;
        for (std::uint64_t length = random() % 24 + 1; length != 0; --length) {
            constexpr std::string_view kCharacters = "00112233445566778899abcdefABCDEFxX-+ \t.g";
            text += kCharacters[random() % kCharacters.size()];
        }
        constexpr std::uint64_t kBases[] = {0, 8, 10, 16};
        number_call(text, kBases[random() % 4]);
    }
}

TEST_F(HelpersOfText, AddressesThatMeanNothingFailAsInTheKernel) {
    for (const auto& [id, native] :
         {std::pair{112U, &helpers::probe_read_user}, std::pair{113U, &helpers::probe_read_kernel},
          std::pair{114U, &helpers::probe_read_user_str},
          std::pair{115U, &helpers::probe_read_kernel_str}}) {
        for (const std::uint64_t address :
             {0ULL, 1ULL, 4096ULL, 0x400000ULL, 0x7fffffffe000ULL, 0x7fffffffeff8ULL,
              0x7ffffffff000ULL, 0x7ffffffff001ULL, 0x800000000000ULL, 0xdead000000000000ULL,
              0xffff800000000000ULL, 0xfffffffffffffff0ULL}) {
            for (const std::uint64_t bytes : {0U, 1U, 8U, 16U}) {
                same({.helper = id,
                      .args = {memory(0), number(bytes), number(address)},
                      .frame = std::vector<std::uint8_t>(64),
                      .memory = std::vector<std::uint8_t>(32, 0xee)},
                     native);
            }
        }
    }
}

TEST_F(HelpersOfText, KnownMemoryIsReadAsInTheKernel) {
    for (const char* text : {"", "a", "1234567", "12345678", "a longer one"}) {
        for (const std::uint64_t bytes : {0U, 1U, 2U, 7U, 8U, 9U, 16U}) {
            for (const auto& [id, native] : {std::pair{113U, &helpers::probe_read_kernel},
                                             std::pair{115U, &helpers::probe_read_kernel_str}}) {
                HelperCall call{.helper = id,
                                .args = {memory(0), number(bytes), memory(32)},
                                .frame = std::vector<std::uint8_t>(64)};
                call.memory.assign(64, 0xee);
                std::memcpy(call.memory.data() + 32, text, std::strlen(text) + 1);
                same(call, native);
            }
        }
    }
}

}  // namespace
}  // namespace crema::test

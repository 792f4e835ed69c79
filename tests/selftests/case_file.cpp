// SPDX-License-Identifier: BSD-3-Clause
#include "tests/selftests/case_file.h"

#include <cerrno>
#include <charconv>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string_view>
#include <utility>

namespace crema::test {
namespace {

int digit(char letter) {
    return letter >= 'a' ? letter - 'a' + 10 : letter - '0';
}

std::vector<std::uint8_t> bytes_of(std::string_view hex) {
    std::vector<std::uint8_t> bytes(hex.size() / 2);
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        bytes[i] = static_cast<std::uint8_t>(digit(hex[2 * i]) << 4 | digit(hex[2 * i + 1]));
    }
    return bytes;
}

std::uint32_t number(std::string_view text) {
    std::uint32_t value = 0;
    static_cast<void>(std::from_chars(text.data(), text.data() + text.size(), value));
    return value;
}

std::vector<ebpf::Insn> insns_of(std::string_view hex) {
    const std::vector<std::uint8_t> bytes = bytes_of(hex);
    std::vector<ebpf::Insn> insns(bytes.size() / sizeof(ebpf::Insn));
    std::memcpy(insns.data(), bytes.data(), insns.size() * sizeof(ebpf::Insn));
    return insns;
}

/// False: no such property.
bool set_property(TableCase& c, std::string_view key, const std::string& value) {
    std::istringstream words(value);
    if (key == "type") {
        c.type = number(value);
    } else if (key == "attach") {
        c.attach = number(value);
    } else if (key == "strict_alignment") {
        c.strict_alignment = value == "1";
    } else if (key == "any_alignment") {
        c.any_alignment = value == "1";
    } else if (key == "load_flags") {
        c.load_flags = number(value);
    } else if (key == "accepted") {
        c.accepted = value == "1";
    } else if (key == "reason") {
        c.reason = value;
    } else if (key == "map") {
        TableCase::MapUse use;
        std::uint32_t at = 0;
        words >> use.kind;
        while (words >> at) {
            use.at.push_back(at);
        }
        c.maps.push_back(std::move(use));
    } else if (key == "kfunc") {
        TableCase::KfuncUse use;
        words >> use.name >> use.at;
        c.kfuncs.push_back(std::move(use));
    } else if (key == "btf_types") {
        c.btf_types = bytes_of(value);
    } else if (key == "btf_strings") {
        c.btf_strings = bytes_of(value);
    } else if (key == "function") {
        TableCase::FunctionType type;
        words >> type.insn >> type.type;
        c.functions.push_back(type);
    } else if (key == "insns") {
        c.insns = insns_of(value);
    } else {
        return false;
    }
    return true;
}

}  // namespace

Result<std::vector<TableCase>> read_cases(const std::string& path) {
    std::ifstream input(path);
    if (!input) {
        return fail(ENOENT, "{} is not there: run scripts/selftests", path);
    }
    std::vector<TableCase> cases;
    TableCase current;
    std::string file;
    std::string line;
    while (std::getline(input, line)) {
        const std::size_t blank = line.find(' ');
        const std::string_view key = std::string_view(line).substr(0, blank);
        const std::string value = blank == std::string::npos ? "" : line.substr(blank + 1);
        if (key == "file") {
            file = value;
        } else if (key == "case") {
            current = TableCase();
            current.file = file;
            current.name = value;
        } else if (key == "end") {
            cases.push_back(std::exchange(current, {}));
        } else if (!set_property(current, key, value)) {
            return fail(EINVAL, "{}: {}: no property is called {}", path, current.name, key);
        }
    }
    return cases;
}

}  // namespace crema::test

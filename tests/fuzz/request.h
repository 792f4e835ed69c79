// SPDX-License-Identifier: BSD-3-Clause
//
// What a campaign is asked for on its command line: how many of what it makes, how long, from which
// seed, and where its chunks are recorded.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

namespace crema::test::fuzz {

struct Request {
    const char* unit;      // the option of `number`, as "--calls"
    std::uint64_t number;  // so many; what 0 means each says
    std::uint64_t chunk;   // so many are one line of the record
    double seconds = 0;    // 0: no limit
    std::uint64_t seed = 1;
    bool seed_given = false;
    std::string record{};
    std::string commit{};
    std::vector<std::string> folders{};

    /// False: wrong words. What is no option is a folder.
    [[nodiscard]] bool read(int argc, char** argv) {
        for (int i = 1; i < argc; ++i) {
            const std::string word = argv[i];
            if (!word.starts_with("--")) {
                folders.push_back(word);
            } else if (i + 1 == argc || !take(word, argv[++i])) {
                return false;
            }
        }
        return record.empty() == commit.empty();
    }

  private:
    [[nodiscard]] bool take(const std::string& option, const char* text) {
        if (option == "--record" || option == "--commit") {
            (option == "--record" ? record : commit) = text;
            return true;
        }
        char* end = nullptr;
        const std::uint64_t value = std::strtoull(text, &end, 10);
        if (end == text || *end != '\0') {
            return false;
        }
        if (option == unit) {
            number = value;
        } else if (option == "--seconds") {
            seconds = static_cast<double>(value);
        } else if (option == "--seed") {
            seed = value;
            seed_given = true;
        } else if (option == "--chunk" && value > 0) {
            chunk = value;
        } else {
            return false;
        }
        return true;
    }
};

}  // namespace crema::test::fuzz

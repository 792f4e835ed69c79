// SPDX-License-Identifier: BSD-3-Clause
//
// EAL for a test program: no root, no hugepages, no device, names unique to the process. Put
// `const auto* const eal_environment = crema::test::with_eal({"-m", "64"});` at file scope; the
// environment starts before the first test.
#pragma once

#include <gtest/gtest.h>
#include <string>
#include <unistd.h>
#include <utility>
#include <vector>

#include <rte_eal.h>

namespace crema::test {

class EalEnvironment : public testing::Environment {
  public:
    explicit EalEnvironment(std::vector<std::string> extra) : extra_(std::move(extra)) {}

    void SetUp() override {
        std::vector<std::string> words = {
            "test",        "--no-huge",      "--no-pci",
            "--no-shconf", "--no-telemetry", "--file-prefix=crema" + std::to_string(getpid())};
        words.insert(words.end(), extra_.begin(), extra_.end());
        std::vector<char*> argv;
        argv.reserve(words.size());
        for (auto& word : words) {
            argv.push_back(word.data());
        }
        ASSERT_GE(rte_eal_init(static_cast<int>(argv.size()), argv.data()), 0);
    }

    void TearDown() override { rte_eal_cleanup(); }

  private:
    std::vector<std::string> extra_;
};

inline testing::Environment* with_eal(std::vector<std::string> extra) {
    return testing::AddGlobalTestEnvironment(new EalEnvironment(std::move(extra)));
}

}  // namespace crema::test

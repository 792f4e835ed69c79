// SPDX-License-Identifier: BSD-3-Clause
//
// The whole table put to the running kernel and to Crema, sorted by what came back, and the page
// that is made of it. Differences that are known carry a cause (known_differences.txt).
#pragma once

#include <string>
#include <vector>

#include "tests/selftests/case_file.h"
#include "tests/selftests/judge.h"
#include "tests/selftests/known_differences.h"

namespace crema::test {

/// What Crema's answer is, measured by the running kernel's.
enum class Finding : std::uint8_t {
    same,              // both accept or both refuse
    wrong_refusal,     // safe for the kernel, refused by Crema
    wrong_acceptance,  // refused by the kernel, proved by Crema
    no_map,            // safe for the kernel, with a map that Crema does not make
    not_judged         // the kernel cannot make what the case needs
};

struct Compared {
    const TableCase* of = nullptr;
    Judgement kernel;
    Judgement crema;
    Claim claim = Claim::other_type;
    Finding finding = Finding::same;

    /// Counted in the table's own figures: its expectation is about XDP programs.
    [[nodiscard]] bool counts() const {
        return finding != Finding::not_judged && (claim == Claim::xdp || claim == Claim::any_type);
    }
};

class Survey {
  public:
    /// Puts every case to both. `trace`: name each on stderr first.
    static Survey run(const std::vector<TableCase>& cases, bool trace);

    [[nodiscard]] const std::vector<Compared>& all() const { return all_; }

    /// The cases that count and whose expectation is (or is not) acceptance.
    [[nodiscard]] std::vector<const Compared*> expected(bool accepted) const;
    [[nodiscard]] std::vector<const Compared*> with(Finding finding) const;

    /// The page: figures, what is excluded and why, every difference with its cause.
    [[nodiscard]] std::string page(const Causes& causes) const;

  private:
    std::vector<Compared> all_;
};

}  // namespace crema::test

// SPDX-License-Identifier: BSD-3-Clause
//
// The record of a long campaign: a file of JSON lines, one for each chunk that was run whole, with
// commit, kernel, seeds and figures. A campaign that is stopped goes on behind the last line; what
// was not written was not run.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace crema::test::fuzz {

/// Figures of one chunk, in the order in which they are written.
struct RecordLine {
    std::uint64_t first_seed = 0;
    std::uint64_t next_seed = 0;
    std::vector<std::pair<std::string, std::uint64_t>> figures;
    double seconds = 0;
    std::vector<std::pair<std::string, std::map<std::string, std::uint64_t>>> tables;
};

class Record {
  public:
    /// commit: of the code that runs, as the caller says.
    Record(std::string path, std::string campaign, std::string commit);

    /// Behind the last line of this campaign in the file, or `otherwise` where there is none.
    [[nodiscard]] std::uint64_t next_seed(std::uint64_t otherwise) const;

    /// Appends one line. False: it could not be written.
    [[nodiscard]] bool add(const RecordLine& line) const;

  private:
    std::string path_;
    std::string campaign_;
    std::string commit_;
};

}  // namespace crema::test::fuzz

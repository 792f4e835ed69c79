// SPDX-License-Identifier: BSD-3-Clause
//
// What the kernel's XDP tracepoints say, counted: a trace instance of our own in tracefs, so that
// nobody else's tracing is disturbed; events of other programs and maps are left out.
#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <string>

#include "tests/conformance/redirect/side.h"

namespace crema::test::redirect {

/// Whose events count, and how maps are called.
struct Traced {
    std::set<std::uint64_t> programs;           // ids
    std::map<std::uint64_t, std::string> maps;  // by id
    std::uint32_t first_ifindex = 0;            // kPorts of them
};

class KernelTrace {
  public:
    /// ENOENT: no tracefs. Errors say what is missing.
    [[nodiscard]] static Result<std::unique_ptr<KernelTrace>> open(Traced traced);
    ~KernelTrace();
    KernelTrace(const KernelTrace&) = delete;
    KernelTrace& operator=(const KernelTrace&) = delete;

    /// Adds what happened since the last call.
    void take(Counts& counts);

  private:
    KernelTrace(std::string folder, Traced traced)
        : folder_(std::move(folder)), traced_(std::move(traced)) {}

    void count_line(const std::string& line, Counts& counts) const;

    std::string folder_;
    Traced traced_;
};

}  // namespace crema::test::redirect

// SPDX-License-Identifier: BSD-3-Clause
//
// What libbpf prints while this thread loads an object. It would go to stderr, several lines per
// failure; here it is kept, to make one line of it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace crema::ebpf::loader {

/// Collects the calling thread's warnings as long as it lives. One per thread at a time.
class LibbpfMessages {
  public:
    LibbpfMessages();
    ~LibbpfMessages();
    LibbpfMessages(const LibbpfMessages&) = delete;
    LibbpfMessages& operator=(const LibbpfMessages&) = delete;
    LibbpfMessages(LibbpfMessages&&) = delete;
    LibbpfMessages& operator=(LibbpfMessages&&) = delete;

    /// The first warning, one line; later ones mostly say that the caller failed too.
    [[nodiscard]] std::string first_warning() const;

    /// Name of the first `extern ... __ksym` function that was not found, or empty.
    [[nodiscard]] std::string missing_kernel_function() const;

    [[nodiscard]] bool contains(std::string_view text) const;

    void add(std::string line) { lines_.push_back(std::move(line)); }

  private:
    std::vector<std::string> lines_;
};

}  // namespace crema::ebpf::loader

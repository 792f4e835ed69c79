// SPDX-License-Identifier: BSD-3-Clause
//
// Maps of the data path that this process has joined (data_path.h).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "apps/crema/data_path.h"
#include "lib/base/result.h"
#include "lib/base/unique_fd.h"

namespace crema::command {

struct MapInfo {
    std::uint32_t id = 0;
    std::uint32_t type = 0;
    std::string name;
    std::uint32_t key_bytes = 0;
    std::uint32_t value_bytes = 0;
    std::uint32_t max_entries = 0;
    std::uint32_t flags = 0;
    std::uint32_t btf_id = 0;
    std::uint64_t memlock = 0;
    bool frozen = false;
};

/// A map of the data path, open.
class RemoteMap {
  public:
    /// All there are, by number.
    [[nodiscard]] static Result<std::vector<RemoteMap>> all();

    /// By number, by name, or by the path of its pin. ENOENT; EINVAL: several have the name.
    [[nodiscard]] static Result<RemoteMap> find(const std::string& which);

    /// A new one, which is gone with this process unless it is pinned. Errors are bpf(2)'s.
    [[nodiscard]] static Result<RemoteMap> create(const MapInfo& wanted);

    [[nodiscard]] const MapInfo& info() const { return info_; }

    [[nodiscard]] bool is_percpu() const;

    /// Of what user space gives and gets: per-CPU maps have a value for each possible CPU.
    [[nodiscard]] std::size_t user_value_bytes() const;

    /// Errors are bpf(2)'s. A map without keys (queue, stack, filter) has an empty one.
    [[nodiscard]] Result<Bytes> lookup(const Bytes& key) const;
    [[nodiscard]] Status update(const Bytes& key, const Bytes& value, std::uint64_t flags) const;
    [[nodiscard]] Status erase(const Bytes& key) const;
    /// Takes the next value of a queue or stack.
    [[nodiscard]] Result<Bytes> take() const;
    [[nodiscard]] Status freeze() const;
    [[nodiscard]] Status pin(const std::string& path) const;
    /// The key behind `key`, or the first one. Nothing: there is none.
    [[nodiscard]] Result<std::optional<Bytes>> next(const std::optional<Bytes>& key) const;

  private:
    [[nodiscard]] static Result<RemoteMap> open(long fd, const std::string& which);
    [[nodiscard]] static Result<RemoteMap> by_number(std::uint32_t id);

    UniqueFd fd_;
    MapInfo info_;
};

}  // namespace crema::command

// SPDX-License-Identifier: BSD-3-Clause
//
// The running kernel as a Machine, through the system's shared libbpf. libcrema carries a private
// copy of libbpf whose bpf(2) calls it serves itself; the two do not see each other.
#pragma once

#include <memory>
#include <string>

#include <bpf/libbpf.h>

#include "tests/support/machine.h"

namespace crema::test {

using KernelObject = std::shared_ptr<bpf_object>;

/// One program of a loaded object. Maps are the object's, so machines of one object share them.
class KernelMachine : public Machine {
  public:
    KernelMachine(KernelObject object, int program)
        : object_(std::move(object)), program_(program) {}

    [[nodiscard]] Status update(const MapUpdate& update) override;
    [[nodiscard]] Outcome run(const Bytes& packet, std::uint32_t ingress_ifindex) override;
    [[nodiscard]] MapState maps() override;
    [[nodiscard]] std::uint64_t verified_insns() const override;

  private:
    KernelObject object_;
    int program_;
};

/// What libbpf warned of since clear_libbpf_log(), the verifier's log included.
[[nodiscard]] const std::string& libbpf_log();
void clear_libbpf_log();

}  // namespace crema::test

// SPDX-License-Identifier: BSD-3-Clause
//
// Configuration space of a PCI function with one memory BAR and one interrupt line: what a guest's
// firmware and PCI core read, write and sniff. The size of the BAR is found out by the other side
// from the region's size; nothing else has an effect here but the command register.
#pragma once

#include <array>
#include <cstdint>
#include <span>

namespace crema::vfio::user {

class PciConfig {
  public:
    static constexpr std::uint32_t kBytes = 256;

    PciConfig() { reset(); }

    /// Any offset and length inside of the space.
    void read(std::uint32_t offset, std::span<std::uint8_t> out) const;
    void write(std::uint32_t offset, std::span<const std::uint8_t> in);

    void reset();

    /// The status bit that mirrors the interrupt line.
    void show_interrupt(bool level);

    /// The driver has switched the line off ("INTx disable").
    [[nodiscard]] bool interrupt_disabled() const;

  private:
    std::array<std::uint8_t, kBytes> space_{};
};

}  // namespace crema::vfio::user

// SPDX-License-Identifier: BSD-3-Clause
//
// A line on stderr that says what goes on: refreshed in place on a terminal, one line per period
// elsewhere.
#pragma once

#include <string>

namespace crema::app {

class Progress {
  public:
    Progress();
    ~Progress();
    Progress(const Progress&) = delete;
    Progress& operator=(const Progress&) = delete;

    void show(const std::string& text);
    /// Ends the line on a terminal, so that other output starts on its own.
    void finish();

    [[nodiscard]] bool is_terminal() const { return is_terminal_; }

  private:
    bool is_terminal_;
    bool is_open_ = false;
};

}  // namespace crema::app

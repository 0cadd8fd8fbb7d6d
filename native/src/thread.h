#pragma once

#include <pthread.h>
#include <signal.h>

#include <functional>
#include <utility>

namespace tuntap {

/// A native thread that is joined by its owner. std::thread throws where this returns an error number.
class Thread {
 public:
  Thread() = default;
  Thread(const Thread&) = delete;
  Thread& operator=(const Thread&) = delete;
  ~Thread() { join(); }

  /// `name` has at most 15 characters. 0, or an error number. Signals stay with the threads that Node made for them.
  int start(const char* name, std::function<void()> body) {
    body_ = std::move(body);
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int error = pthread_create(&thread_, nullptr, &Thread::run, this);
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    if (error == 0) {
      running_ = true;
      pthread_setname_np(thread_, name);
    }
    return error;
  }

  void join() {
    if (running_) pthread_join(thread_, nullptr);
    running_ = false;
  }

 private:
  static void* run(void* self) {
    static_cast<Thread*>(self)->body_();
    return nullptr;
  }

  std::function<void()> body_;
  pthread_t thread_{};
  bool running_ = false;
};

}  // namespace tuntap

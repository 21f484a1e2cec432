import CLinux
import Glibc
import LoopThread

/// Gives back the pages of program text that only the start has needed: the dynamic linker's tables of some forty libraries, the
/// parsing of arguments, the first steps of libcurl and OpenSSL. For each page that is touched the kernel maps those around it,
/// 64 KiB, and they count as resident until memory is short. What goes on being used comes back from the page cache, at about a
/// microsecond for those 64 KiB.
enum StartPages {
  /// When it is given up: a start is over by then, and what rests is to rest.
  private static let end: Duration = .seconds(8)

  /// As long as little is loaded, each time costs next to nothing; while many threads are at work it is some milliseconds of
  /// processor, so the pauses double from then on.
  private static let firstPause: Duration = .milliseconds(2)
  private static let startup: Duration = .milliseconds(16)

  /// At once, and some more times until `end`.
  static func release() {
    s3m_release_text()
    do {
      try NativeThread(name: "s3m-start") {
        var elapsed: Duration = .zero
        while elapsed < end {
          let pause = elapsed < startup ? firstPause : elapsed
          usleep(UInt32(pause / .microseconds(1)))
          s3m_release_text()
          elapsed += pause
        }
      }.detach()
    } catch {
      // A larger resident set is no reason not to begin.
    }
  }
}

import Glibc
import MirrorModel
import Transfers

extension Options {
  /// How many requests with a payload run at one time. An integer literal is a fixed number; the raw value is
  /// `auto` or the number.
  public enum MaxWorkers: Sendable, Hashable, ExpressibleByIntegerLiteral, RawRepresentable {
    /// Found by measuring. It begins with 10, grows while the goodput grows, gives back what brings nothing,
    /// and is halved when the service asks for fewer requests. At most 256, of which parts of large files get 64,
    /// and fewer if this process may open few files.
    case automatic
    /// From 1 to 10,000.
    case fixed(Int)

    private static let automaticWord = "auto"

    public init(integerLiteral value: Int) { self = .fixed(value) }

    public init?(rawValue: String) {
      if rawValue == Self.automaticWord {
        self = .automatic
      } else if let count = Int(rawValue) {
        self = .fixed(count)
      } else {
        return nil
      }
    }

    public var rawValue: String {
      switch self {
      case .automatic: Self.automaticWord
      case .fixed(let count): "\(count)"
      }
    }
  }

  /// The largest number of requests, and how the number is found.
  var workerLimit: (most: Int, limit: FairSemaphore.Limit) {
    switch maxWorkers {
    case .automatic: (Self.mostForDescriptors, .measured)
    case .fixed(let count): (count, .fixed)
    }
  }

  /// A request needs a connection and a file. About 40 descriptors serve other purposes: watches, pipes, logs.
  private static let mostForDescriptors: Int = {
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else {
      return ConcurrencyTuner.start
    }
    let descriptors = Int(clamping: limit.rlim_cur)
    return min(ConcurrencyTuner.most, max(ConcurrencyTuner.start, (descriptors - 40) / 4))
  }()
}

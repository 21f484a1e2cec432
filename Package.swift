// swift-tools-version: 6.2
import PackageDescription

/// CI sets `CI=true`; there a warning is an error. At a desk it stays a warning.
let strictness: [SwiftSetting] =
  Context.environment["CI"] == nil ? [] : [.treatAllWarnings(as: .error)]

func room(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
  .target(name: name, dependencies: dependencies, swiftSettings: strictness)
}

func tests(_ name: String, _ dependencies: [Target.Dependency], resources: [Resource] = []) -> Target {
  .testTarget(
    name: name, dependencies: dependencies, resources: resources, swiftSettings: strictness)
}

let systemPackage = Target.Dependency.product(name: "SystemPackage", package: "swift-system")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let deque = Target.Dependency.product(name: "DequeModule", package: "swift-collections")
let argumentParser = Target.Dependency.product(
  name: "ArgumentParser", package: "swift-argument-parser")

// The rooms stand in the order of the house, bottom first; every arrow points down.
// `Scripts/check-layers` rejects an import that points up.
let package = Package(
  name: "s3-mirror",
  products: [
    .library(name: "S3Mirror", targets: ["S3Mirror"]),
    .executable(name: "s3mirror", targets: ["S3MirrorCLI"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.6.0"),
    .package(url: "https://github.com/apple/swift-collections", from: "1.1.0"),
    .package(url: "https://github.com/apple/swift-log", from: "1.6.0"),
    .package(url: "https://github.com/apple/swift-system", from: "1.5.0"),
  ],
  targets: [
    .systemLibrary(
      name: "CCurl", pkgConfig: "libcurl", providers: [.apt(["libcurl4-openssl-dev"])]),
    .systemLibrary(name: "COpenSSL", pkgConfig: "libcrypto", providers: [.apt(["libssl-dev"])]),
    .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
    .systemLibrary(name: "CExpat", pkgConfig: "expat", providers: [.apt(["libexpat1-dev"])]),
    .systemLibrary(name: "CLinux"),
    .systemLibrary(name: "CCarryless"),

    room("LoopThread", ["CLinux", deque, systemPackage]),
    room("LocalSocket", ["LoopThread", "CLinux", systemPackage]),
    room("MirrorModel"),
    room("Digests", ["COpenSSL", "CZlib", "CCarryless"]),
    room("SigV4", ["Digests"]),
    room("HTTPTransport", ["LoopThread", "CCurl", deque]),
    room("Credentials", ["HTTPTransport", "SigV4", "LoopThread", systemPackage]),
    room("S3Client", ["HTTPTransport", "SigV4", "Digests", "LoopThread", "CExpat"]),
    room("TransferLog", ["MirrorModel", "CZlib", systemPackage]),
    room("LocalTree", ["MirrorModel", "LoopThread", "CLinux", systemPackage]),
    room("FileWatch", ["MirrorModel", "LoopThread", "CLinux", systemPackage]),
    room(
      "Transfers", ["S3Client", "HTTPTransport", "LocalTree", "Digests", "MirrorModel", "LoopThread", deque]),
    room(
      "S3Mirror",
      [
        "Transfers", "FileWatch", "LocalTree", "TransferLog", "S3Client", "Credentials",
        "HTTPTransport", "Digests", "LocalSocket", "LoopThread", "MirrorModel", deque, logging, systemPackage,
      ]),
    .executableTarget(
      name: "S3MirrorCLI",
      dependencies: [
        "S3Mirror", "TransferLog", "LocalSocket", "LoopThread", "CLinux", argumentParser, logging,
        systemPackage,
      ],
      swiftSettings: strictness),
    // Programs to copy from; no product, so that they come with no package that depends on this one.
    .executableTarget(name: "Examples", dependencies: ["S3Mirror"], swiftSettings: strictness),

    .target(
      name: "TestSupport",
      dependencies: [
        "LocalTree", "MirrorModel", "S3Client", "HTTPTransport", "SigV4", "Digests", "CLinux", systemPackage,
      ],
      path: "Tests/Support", resources: [.copy("TreeScripts")], swiftSettings: strictness),
    tests("MirrorModelTests", ["MirrorModel", "TestSupport"], resources: [.copy("EventScripts")]),
    .target(
      name: "TLSServer", dependencies: ["COpenSSL"], path: "Tests/TLSServer",
      linkerSettings: [.linkedLibrary("ssl")]),
    tests(
      "HTTPTransportTests", ["HTTPTransport", "LoopThread", "CCurl", "CZlib", "TestSupport", "TLSServer"]),
    tests("DigestsTests", ["Digests", "CZlib"]),
    tests("SigV4Tests", ["SigV4", "Digests"], resources: [.copy("Resources")]),
    tests("CredentialsTests", ["Credentials", "SigV4", "HTTPTransport", "TestSupport"]),
    tests("S3ClientTests", ["S3Client", "HTTPTransport", "SigV4", "Digests", "TestSupport"]),
    tests("LoopThreadTests", ["LoopThread", "TestSupport", systemPackage]),
    tests("LocalSocketTests", ["LocalSocket", "TestSupport", systemPackage]),
    tests("LocalTreeTests", ["LocalTree", "MirrorModel", "CLinux", "TestSupport", systemPackage]),
    tests("FileWatchTests", ["FileWatch", "MirrorModel", "LoopThread", "TestSupport", systemPackage]),
    tests("TransferLogTests", ["TransferLog", "TestSupport", systemPackage]),
    tests(
      "S3MirrorTests",
      [
        "S3Mirror", "Transfers", "LocalTree", "TransferLog", "S3Client", "HTTPTransport", "LoopThread",
        "MirrorModel", "TestSupport",
        logging, systemPackage,
      ]),
    tests(
      "S3MirrorCLITests",
      ["S3MirrorCLI", "S3Mirror", "S3Client", "HTTPTransport", "LocalSocket", "TestSupport"]),
    tests(
      "TransfersTests",
      [
        "Transfers", "S3Client", "HTTPTransport", "LocalTree", "Digests", "MirrorModel", "LoopThread",
        "SigV4", "TestSupport", systemPackage,
      ]),
    tests(
      "ReconciliationTests",
      [
        "S3Mirror", "Transfers", "LocalTree", "S3Client", "HTTPTransport", "MirrorModel", "LoopThread",
        "Digests", "TestSupport", logging, systemPackage,
      ]),
    tests(
      "LaneTests",
      [
        "S3Mirror", "Transfers", "FileWatch", "LocalTree", "TransferLog", "S3Client", "HTTPTransport",
        "SigV4", "LoopThread", "MirrorModel", "TestSupport", logging, systemPackage,
      ]),
  ],
  swiftLanguageModes: [.v6]
)

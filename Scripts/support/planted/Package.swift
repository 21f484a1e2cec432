// swift-tools-version: 6.2
import PackageDescription

// Faults that a sanitizer has to find: `Scripts/sanitize address|thread --self-test`.
let package = Package(
  name: "planted",
  targets: [.testTarget(name: "PlantedTests")],
  swiftLanguageModes: [.v6]
)

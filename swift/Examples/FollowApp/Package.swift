// swift-tools-version: 6.0
import PackageDescription

// Open this folder in Xcode, or build it with xcodebuild: SwiftPM alone cannot build MLX's shaders.
let package = Package(
    name: "FollowApp",
    platforms: [.macOS(.v14), .iOS(.v17)],
    dependencies: [
        .package(name: "sam2-mlx", path: "../../.."), .package(path: "../../Sam2MLX"),
    ],
    targets: [
        .executableTarget(
            name: "FollowApp",
            dependencies: [
                .product(name: "FollowerKit", package: "sam2-mlx"),
                .product(name: "Sam2Apple", package: "sam2-mlx"),
                .product(name: "Sam2MLX", package: "Sam2MLX"),
            ],
            path: "Sources")
    ]
)

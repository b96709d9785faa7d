namespace KQuant.Codecs.Recipes;

/// <summary>When a rule of a recipe holds; of several conditions all must.</summary>
[Flags]
internal enum RecipeCondition
{
    Always = 0,

    /// <summary>The first and the last eighth of the layers, and every third between them.</summary>
    MoreBits = 1,

    /// <summary>The first two of a kind.</summary>
    FirstTwo = 1 << 1,

    /// <summary>The first four of a kind.</summary>
    FirstFour = 1 << 2,

    /// <summary>The first eighth of the layers.</summary>
    FirstEighth = 1 << 3,

    /// <summary>The first sixteenth of the layers.</summary>
    FirstSixteenth = 1 << 4,

    /// <summary>Four or more query heads share a key head.</summary>
    WideGroups = 1 << 5,

    /// <summary>The model has exactly eight experts.</summary>
    EightExperts = 1 << 6,

    /// <summary>The model is what llama.cpp takes for one of 70 billion weights: 80 layers, with shared key heads.</summary>
    SeventyBillion = 1 << 7,

    /// <summary>The architecture is Falcon.</summary>
    Falcon = 1 << 8,

    /// <summary>There is an importance matrix.</summary>
    Importance = 1 << 9,
}
